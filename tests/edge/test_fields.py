"""Forms: what a TOML file may say, what it says back, and what is then read in the fields."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge import DigitReader
from edge.decode import decode, page_of
from edge.errors import PictureError, UsageError
from edge.fields import Form, FormField, form_as_toml, load_form, parse_form, read_form
from edge.reading import Digit, Reading
from tests.edge.helpers import ROOT, page
from tests.edge.sheets import Sheet

GLYPH = np.zeros((28, 28), np.uint8)

FOUR = "it is four numbers: [x, y, width, height]"

CAN_MATCH = (
    *(
        r"\d{7}",
        r"\d{4,6}",
        r"\d{4,}",
        r"\d{,6}",
        r"\d{,}",
        r"\{?\d",
        r"\d\}",
        r"[{]?\d",
        r"\d|x{",
        r"(x{)?\d",
        r"({7){0}1",
    ),
    *(r"\N{DIGIT SEVEN}", r"\\?\d{7}", r"(?x)\d # {"),
)

WHOLE = """
deskew = "marks"
size = [210, 297]

[[field]]
name = "account"
box = [20, 45.5, 70, 12]
pattern = '\\d{7}'
length = 7

[[field]]
name = "Größe (cm)"
box = [20, 60, 70, 12]
"""


def test_a_form_file_says_all_of_it() -> None:
    form = parse_form(WHOLE)
    assert form.deskew == "marks"
    assert form.size == (210, 297)
    assert form.fields == (
        FormField("account", (20, 45.5, 70, 12), r"\d{7}", 7),
        FormField("Größe (cm)", (20, 60, 70, 12)),
    )
    assert form.parts(form.fields[0]) == pytest.approx((20 / 210, 45.5 / 297, 70 / 210, 12 / 297))


def test_boxes_without_a_size_are_parts_of_the_page() -> None:
    form = parse_form('[[field]]\nname = "a"\nbox = [0, 0.25, 1, 0.75]')
    assert (form.size, form.deskew) == (None, None)
    assert form.parts(form.fields[0]) == (0, 0.25, 1, 0.75)


def test_a_form_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "form.toml"
    path.write_text(WHOLE, "utf-8-sig")
    assert load_form(path) == parse_form(WHOLE)


def field(**keys: str) -> str:
    said = {"name": '"total"', "box": "[0.1, 0.1, 0.2, 0.2]"} | keys
    return "[[field]]\n" + "\n".join(f"{key} = {value}" for key, value in said.items() if value) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no fields; each is a [[field]] with a name and a box"),
        ("deskew = 'page'", "no fields; each is a [[field]] with a name and a box"),
        ("this is no toml", "not valid TOML: Expected '=' after a key in a key/value pair (at line 1, column 6)"),
        ("deskw = 'page'\n" + field(), "no key is called 'deskw'; did you mean deskew?"),
        ("colour = 3\n" + field(), "no key is called 'colour'; there are size, deskew, field"),
        ("[field]\nname = 'a'", "each field begins with [[field]], in two brackets"),
        ("field = 3", "each field begins with [[field]], in two brackets"),
        ("deskew = 'corners'\n" + field(), 'deskew is "corners"; it is "page" or "marks", or left out'),
        ("deskew = true\n" + field(), 'deskew is true; it is "page" or "marks", or left out'),
        ("size = 210\n" + field(), "size is 210; it is two numbers: [width, height] of the page"),
        ("size = [210, -1]\n" + field(), "size is [210, -1]; it is two numbers: [width, height] of the page"),
        ("size = [nan, 1]\n" + field(), "size is [nan, 1]; it is two numbers: [width, height] of the page"),
        (field(name=""), "field 1 has no name"),
        (field() + field(name=""), "field 2 has no name"),
        (field(name="7"), "a field's name is 7; it is a text"),
        (field(name='" "'), 'a field\'s name is " "; it is a text'),
        (field() + field(), "field 'total': there are two of this name"),
        (field(lenght="7"), "field 'total': no key is called 'lenght'; did you mean length?"),
        (field(box=""), "field 'total': has no box; it is [x, y, width, height]"),
        (field(box="[1, 2, 3]"), "field 'total': box is [1, 2, 3]; it is four numbers: [x, y, width, height]"),
        (field(box="'all'"), "field 'total': box is \"all\"; it is four numbers: [x, y, width, height]"),
        (
            field(box="[0, 0, true, 1]"),
            "field 'total': box is [0, 0, true, 1]; it is four numbers: [x, y, width, height]",
        ),
        (
            field(box="[0, 0, inf, 1]"),
            "field 'total': box is [0, 0, inf, 1]; it is four numbers: [x, y, width, height]",
        ),
        (
            field(box="[-0.1, 0, 0.5, 0.5]"),
            "field 'total': box is [-0.1, 0, 0.5, 0.5]; x and y are at least 0, width and height are more",
        ),
        (
            field(box="[0.1, 0, 0, 0.5]"),
            "field 'total': box is [0.1, 0, 0, 0.5]; x and y are at least 0, width and height are more",
        ),
        (
            field(box="[0.5, 0, 0.6, 0.5]"),
            "field 'total': box [0.5, 0, 0.6, 0.5] goes beyond 1; boxes are parts of the page from 0 to 1, "
            "unless size = [width, height] is given",
        ),
        (
            "size = [640, 480]\n" + field(box="[600, 400, 50, 50]"),
            "field 'total': box [600, 400, 50, 50] goes beyond the page, which is 640 wide and 480 high",
        ),
        *(
            (
                field(pattern=f"'{pattern}'"),
                f"field 'total': pattern '{pattern}' wants a brace in the text; "
                "a repetition is {7} or {4,6}, a brace \\{",
            )
            for pattern in (r"\d{7", r"\d{4, 6}", r"\d{7\d{3}", r"\d7}", r"(\d{7)", r"\\{7")
        ),
        *((field(pattern=f"'{pattern}'"), None) for pattern in CAN_MATCH),
        (field(pattern="''"), "field 'total': pattern is empty; leave it out where any digits will do"),
        (
            field(length="7", cells="4"),
            "field 'total': length is 7, but cells is only 4",
        ),
        (field(length="4", cells="7"), None),
        (
            field(pattern=r"'(\d'"),
            r"field 'total': pattern '(\d' is not a regular expression: "
            "missing ), unterminated subpattern at position 0",
        ),
        (field(pattern="7"), "field 'total': pattern is 7; it is a text"),
        (field(length="0"), "field 'total': length is 0; it is a whole number from 1 on"),
        (field(length="7.0"), "field 'total': length is 7; it is a whole number from 1 on"),
        (field(length="true"), "field 'total': length is true; it is a whole number from 1 on"),
        (field(length="'7'"), "field 'total': length is \"7\"; it is a whole number from 1 on"),
        (field(skip_marks='"yes"'), "field 'total': skip_marks is \"yes\"; it is true or false"),
        (field(cells="-7"), "field 'total': cells is -7; it is a whole number from 1 on"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_field(text: str, message: str | None, tmp_path: Path) -> None:
    path = tmp_path / "form.toml"
    path.write_text(text)
    if message is None:
        load_form(path)
        return
    with pytest.raises(UsageError) as raised:
        load_form(path)
    assert str(raised.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "a folder, not a form file"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "not a text in UTF-8"),
        (lambda path: path.symlink_to("/dev/zero"), "not a form file"),
        (lambda path: path.write_bytes(b"#" * 2_000_000), "more than 1 MB; not a form file"),
        (lambda path: path.write_text("a = " + "[" * 100_000), "not valid TOML"),
        (lambda path: path.write_text("a = " + "1" * 5000), "not valid TOML"),
    ],
    ids=["missing", "folder", "bytes", "device", "large", "deep", "long"],
)
def test_a_file_that_is_no_form_is_one_line(make: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    path = tmp_path / "form.toml"
    make(path)
    with pytest.raises(UsageError) as raised:
        load_form(path)
    assert str(raised.value).startswith(f"{path}: {message}")
    assert "\n" not in str(raised.value)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
boxes = st.tuples(*[st.floats(0, 0.4)] * 2, *[st.floats(1e-6, 0.5)] * 2)
entries = st.builds(
    FormField,
    texts,
    boxes,
    st.none() | st.sampled_from([r"\d{7}", "it's \\d", 'a "b"', "\t7", r"(?i)x\'", "7\n8", "\x7f"]),
    st.none() | st.integers(1, 50),
    st.none() | st.integers(50, 99),
)
forms = st.builds(
    Form,
    st.lists(entries, min_size=1, max_size=4, unique_by=lambda entry: entry.name).map(tuple),
    st.none() | st.tuples(st.floats(1, 1e5), st.floats(1, 1e5)),
    st.sampled_from([None, "page", "marks"]),
)


@settings(max_examples=300, deadline=None)
@given(forms)
@example(parse_form(WHOLE))
def test_what_is_written_is_what_is_read(form: Form) -> None:
    assert parse_form(form_as_toml(form)) == form


def test_a_written_form_is_one_that_people_can_read() -> None:
    assert form_as_toml(parse_form(WHOLE)).strip() == WHOLE.strip()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1234567", None),
        ("", "no digit found"),
        ("12?4567", "a character was not a digit"),
        ("123456", "6 digits instead of 7"),
        ("1", "1 digit instead of 7"),
        ("2234567", r"does not match 1\d*"),
    ],
)
def test_a_text_is_judged_by_length_and_pattern(text: str, reason: str | None) -> None:
    assert FormField("a", (0, 0, 1, 1), r"1\d*", 7).judge(text) == reason


def test_the_whole_text_has_to_match() -> None:
    assert FormField("a", (0, 0, 1, 1), r"\d{3}").judge("1234") == r"does not match \d{3}"


def digits(*places: tuple[str | None, int, int, int]) -> tuple[Digit, ...]:
    """Digits 20 x 30 around a middle x, y, in a line."""
    return tuple(
        Digit(t, 0.9 - 0.1 * k, (x - 10, y - 15, 20, 30), line, GLYPH) for k, (t, x, y, line) in enumerate(places)
    )


def reading_of(*places: tuple[str | None, int, int, int]) -> Reading:
    """What a form with a left and a right half says of these digits on a page of 200 x 100 pixels."""
    form = Form((FormField("left", (0, 0, 0.5, 1)), FormField("right", (0.5, 0, 0.5, 1))))
    blank = page(size=(100, 200))
    return read_form(form, page_of(blank), lambda _: Reading(200, 100, digits(*places)))


def test_a_digit_belongs_to_the_field_in_which_its_middle_lies() -> None:
    left, right = reading_of(("1", 95, 50, 0), ("2", 105, 50, 0)).fields
    assert (left.text, right.text) == ("1", "2")
    assert (left.box, right.box) == ((0, 0, 100, 100), (100, 0, 100, 100))


def test_a_field_is_as_sure_as_its_least_sure_digit() -> None:
    left, right = reading_of(("1", 20, 50, 0), ("2", 50, 50, 0), ("3", 150, 50, 0)).fields
    assert left.confidence == pytest.approx(0.8)
    assert right.confidence == pytest.approx(0.7)


def test_a_field_with_a_refused_character_has_no_value() -> None:
    left, right = reading_of(("4", 20, 50, 0), (None, 50, 50, 0), ("7", 80, 50, 0)).fields
    assert (left.text, left.value, left.valid, left.reason) == ("4?7", None, False, "a character was not a digit")
    assert (right.text, right.value, right.valid, right.confidence) == ("", None, False, 0.0)
    assert right.reason == "no digit found"


def test_lines_of_a_field_stay_lines() -> None:
    left, _ = reading_of(("1", 20, 20, 0), ("2", 50, 20, 0), ("9", 150, 20, 0), ("3", 20, 70, 1)).fields
    assert (left.text, left.value) == ("12\n3", "12\n3")


def test_lines_on_one_level_are_one_row_of_a_field() -> None:
    left, _ = reading_of(("1", 20, 40, 0), ("3", 80, 42, 0), ("2", 50, 52, 1), ("4", 20, 90, 2)).fields
    assert left.text == "123\n4"


def test_a_bit_of_the_printed_frame_is_not_read_and_a_one_beside_it_is() -> None:
    def upright(x: int, height: int) -> Digit:
        return Digit("1", 0.95, (x - 3, 50 - height // 2, 6, height), 0, GLYPH)

    blank, form = page(size=(100, 200)), Form((FormField("all", (0, 0.1, 1, 0.8)),))
    for ends, text in (((12, 12), "47"), ((40, 12), "147"), ((44, 46), "1471")):
        said = (upright(8, ends[0]), *digits(("4", 60, 50, 0), ("7", 120, 50, 0)), upright(193, ends[1]))
        reading = read_form(form, page_of(blank), lambda _, said=said: Reading(200, 100, said))
        assert reading.fields[0].value == text


@pytest.mark.parametrize(
    ("x", "y", "width", "height", "text"),
    [
        (180, 50, 20, 28, "47?"),  # a letter, beyond what a line reaches to
        (10, 52, 20, 28, "?47"),
        (180, 50, 4, 30, "47"),  # a printed stroke
        (180, 82, 20, 28, "47"),  # printed below
        (180, 50, 20, 12, "47"),  # a speck
        (60, 50, 60, 40, "47"),  # what is left of a box around a digit
    ],
)
def test_what_is_no_digit_at_a_fields_end_is_not_passed_over(x, y, width, height, text) -> None:
    beside = Digit(None, 0.01, (x - width // 2, y - height // 2, width, height), -1, GLYPH)
    said = Reading(200, 100, digits(("4", 60, 50, 0), ("7", 100, 50, 0)), beside=(beside,))
    form = Form((FormField("all", (0, 0, 1, 1)),))
    reading = read_form(form, page_of(page(size=(100, 200))), lambda _: said)
    assert reading.fields[0].text == text
    assert reading.text == "47"


def test_a_comb_with_a_letter_in_its_first_or_last_cell_is_not_valid(reader: DigitReader) -> None:
    for text in ("50172A", "A50172", "501726"):
        sheet = np.full((300, 700), 235, np.uint8)
        for x in range(60, 700, 100):
            cv2.line(sheet, (x, 150), (x, 190), 90, 2)
        cv2.line(sheet, (60, 190), (660, 190), 90, 2)
        for place, character in enumerate(text):
            cv2.putText(sheet, character, (85 + 100 * place, 170), cv2.FONT_HERSHEY_SIMPLEX, 2.0, 40, 5, cv2.LINE_AA)
        form = Form((FormField("comb", (60, 100, 600, 90), cells=6),), (700, 300))
        (found,) = reader.read(sheet, fields=form).fields
        assert found.text == text.replace("A", "?")
        assert found.valid == (text == "501726")


def test_a_comb_holds_no_more_digits_than_cells() -> None:
    field = FormField("comb", (0, 0, 1, 1), cells=6)
    assert field.judge("4071139") == "7 digits in 6 cells"
    assert field.judge("407113") is None


def test_full_resolution_holds_for_a_straightened_page_as_well(reader: DigitReader) -> None:
    """Digits that are lower than 1/150 of the page, which would be reduced."""
    large = np.full((3900, 2760), 235, np.uint8)
    number = cv2.resize(page("5550172", height=44, paper=235), None, fx=0.33, fy=0.33, interpolation=cv2.INTER_AREA)
    large[300 : 300 + number.shape[0], 300 : 300 + number.shape[1]] = number
    desk = cv2.copyMakeBorder(large, 200, 200, 200, 200, cv2.BORDER_CONSTANT, value=70)
    form = Form((FormField("small", (200 / 2760, 250 / 3900, 0.3, 0.1)),), None, "page")
    (found,) = reader.read(desk, fields=form, full_resolution=True).fields
    assert found.text == "5550172"


def test_printed_strokes_between_cells_are_not_read() -> None:
    blank = page(size=(100, 200))
    comb = Form((FormField("comb", (0, 0, 1, 0.5), cells=4),))

    def thin(label: str, x: int, line: int) -> Digit:
        return Digit(label, 0.99, (x - 2, 10, 5, 40), line, GLYPH)

    said = (
        *(thin("1", x, 0) for x in (50, 103, 148)),  # the three strokes
        *digits(("4", 25, 30, 1), ("8", 98, 30, 1)),  # the 8 was written over a stroke
        thin("1", 170, 1),  # and a 1 in its cell
        *digits(("9", 20, 80, 2)),  # below the field
    )
    reading = read_form(comb, page_of(blank), lambda _: Reading(200, 100, said))
    assert reading.fields[0].value == "481"
    assert reading.lines == ("481", "9")


@pytest.mark.parametrize("sign", [".", ",", "-", "/"])
def test_marks_between_digits_are_question_marks_or_left_out_if_wanted(sign: str, reader: DigitReader) -> None:
    sheet = Sheet(240, 480)
    x = sheet.write("24", 40, 60, 44) - 2
    strokes = {
        ".": [(x + 9, 100), (x + 11, 101)],
        ",": [(x + 11, 99), (x + 12, 104), (x + 7, 113)],
        "-": [(x, 82), (x + 20, 81)],
        "/": [(x, 112), (x + 20, 52)],
    }
    sheet.draw([np.array(strokes[sign], float)], 5)
    sheet.write("150", x + 32, 60, 44)
    box = (0.0, 0.1, 1.0, 0.5)
    form = Form((FormField("strict", box, r"\d{5}"), FormField("lenient", box, r"\d{5}", skip_marks=True)))
    strict, lenient = reader.read(sheet.grey(), fields=form).fields
    assert (strict.text, strict.value, strict.reason) == ("24?150", None, "a character was not a digit")
    assert (lenient.text, lenient.value) == ("24150", "24150")


def test_a_letter_between_digits_is_never_left_out(reader: DigitReader) -> None:
    sheet = Sheet(240, 480)
    x = sheet.write("24", 40, 60, 44)
    sheet.draw([np.array([(x, 104), (x + 14, 60), (x + 28, 104), (x + 21, 86), (x + 7, 86)], float)], 5)  # an A
    sheet.write("15", x + 44, 60, 44)
    form = Form((FormField("f", (0.0, 0.1, 1.0, 0.5), skip_marks=True),))
    assert reader.read(sheet.grey(), fields=form).fields[0].text == "24?15"


def test_a_printed_comb_is_read(reader: DigitReader) -> None:
    sheet = np.full((300, 700), 235, np.uint8)
    cv2.rectangle(sheet, (60, 100), (620, 190), 60, 2)
    for x in range(140, 620, 80):
        cv2.line(sheet, (x, 150), (x, 190), 90, 2)
    for place, text in enumerate("50172"):
        at = (78 + 80 * place, 168)
        cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, 2.0, 40, 5, cv2.LINE_AA)
    form = Form((FormField("comb", (60, 100, 560, 90), cells=7),), (700, 300))
    assert values(reader.read(sheet, fields=form)) == {"comb": "50172"}


def written_form() -> tuple[np.ndarray, Form]:
    """A form of 600 x 848 pixels with three printed boxes, and numbers in them."""
    sheet = np.full((848, 600), 235, np.uint8)
    fields = []
    for name, text, y in (
        ("account", "5550172", 140),
        ("total", "4903", 340),
        ("empty", "", 540),
    ):
        cv2.rectangle(sheet, (60, y), (540, y + 90), 60, 2)
        number = page(text, height=44, paper=235)
        tall, wide = min(84, number.shape[0] - 50), min(470, number.shape[1])
        sheet[y + 3 : y + 3 + tall, 66 : 66 + wide] = number[50 : 50 + tall, :wide]
        fields.append(FormField(name, (60, y, 480, 90), r"\d+", len(text) or None))
    return sheet, Form(tuple(fields), (600, 848))


def values(reading: Reading) -> dict[str, str | None]:
    return {field.name: field.value for field in reading.fields}


TRUTH = {"account": "5550172", "total": "4903", "empty": None}


def test_a_scanned_form_is_read_at_any_resolution(reader: DigitReader) -> None:
    sheet, form = written_form()
    for scale in (1, 2.5):
        scan = cv2.resize(sheet, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        reading = reader.read(scan, fields=form)
        assert values(reading) == TRUTH
        assert reading.fields[0].box == tuple(round(v * scale) for v in (60, 140, 480, 90))


def test_a_picture_that_is_not_of_the_forms_shape_is_an_error(reader: DigitReader) -> None:
    sheet, form = written_form()
    with pytest.raises(PictureError, match=r"848x600 pixels are not of the form's shape, which is \[600, 848\]"):
        reader.read(np.ascontiguousarray(sheet.T), fields=form)


def photographed(sheet: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sheet on a dark desk, seen askew, 1000 x 1200 pixels; and where its corners lie."""
    corners = np.array([(180, 90), (850, 150), (900, 1100), (90, 1020)], np.float32)
    view = cv2.getPerspectiveTransform(np.array([(0, 0), (600, 0), (600, 848), (0, 848)], np.float32), corners)
    frame = np.full((1200, 1000), 70, np.uint8)
    cv2.warpPerspective(sheet, view, (1000, 1200), frame, cv2.INTER_AREA, cv2.BORDER_TRANSPARENT)
    return cv2.GaussianBlur(frame, (0, 0), 0.8), view


@pytest.mark.parametrize("deskew", ["page", "marks"])
def test_a_photographed_form_is_straightened_and_its_boxes_are_where_they_are_seen(
    deskew: str, reader: DigitReader
) -> None:
    sheet, form = written_form()
    if deskew == "marks":
        for x, y in ((30, 30), (570, 30), (570, 818), (30, 818)):
            cv2.circle(sheet, (x, y), 14, 30, cv2.FILLED, cv2.LINE_AA)
        fields = tuple(FormField(f.name, (f.box[0] - 30, f.box[1] - 30, *f.box[2:])) for f in form.fields)
        form = Form(fields, (540, 788), deskew)
    else:
        form = Form(form.fields, form.size, deskew)
    frame, view = photographed(sheet)
    reading = reader.read(frame, fields=form)
    assert values(reading) == TRUTH
    assert (reading.width, reading.height) == (1000, 1200)
    for name, (y, _) in {"account": (140, 0), "total": (340, 0)}.items():
        corners = np.array([(60, y), (540, y), (540, y + 90), (60, y + 90)], np.float32).reshape(-1, 1, 2)
        seen = cv2.perspectiveTransform(corners, view).reshape(-1, 2)
        x, top, w, h = next(field.box for field in reading.fields if field.name == name)
        assert np.abs(np.array([(x, top), (x + w, top + h)]) - [seen.min(axis=0), seen.max(axis=0)]).max() < 6
    for digit in reading.digits:  # each box holds ink of the photograph
        x, y, w, h = digit.box
        assert frame[y : y + h, x : x + w].min() < 120


@pytest.mark.parametrize("deskew", ["page", "marks"])
def test_a_form_that_cannot_be_straightened_is_not_read_crooked(deskew: str, reader: DigitReader) -> None:
    sheet, form = written_form()
    with pytest.raises(PictureError, match="found"):
        reader.read(sheet, fields=Form(form.fields, form.size, deskew))


def test_the_sample_form_is_read_as_the_documentation_says(reader: DigitReader) -> None:
    pages = ROOT / "samples" / "pages"
    reading = reader.read(pages / "form.jpg", fields=load_form(pages / "form.toml"))
    assert values(reading) == {"meter": "4051738", "reading": "29406", "date": "170326", "persons": "3"}
    assert decode(pages / "form.jpg").shape[:2] == (reading.height, reading.width)
    assert (pages / "form.toml").read_text() in (ROOT / "docs" / "fields.md").read_text()
