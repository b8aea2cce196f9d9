"""Fields with their rules, from TOML and back."""

import pytest

from edge.daemon.watched import Watched, load_watched, parse_watched, watched_as_toml
from edge.errors import UsageError

TEXT = """\
deskew = "page"
size = [210, 297]

[[field]]
name = "meter"
box = [10, 20.5, 80, 15]
pattern = '\\d{5}'
cells = 5
decimals = 1
never_decreasing = true
largest_step = 2.5
roll_over = 9999.9
unit = "m³"
device_class = "water"

[[field]]
name = "room"
box = [10, 60, 20, 15]
length = 1
skip_marks = true
"""


def test_fields_go_to_toml_and_back() -> None:
    watched = parse_watched(TEXT)
    assert [field.form.name for field in watched.fields] == ["meter", "room"]
    assert watched.fields[0].decimals == 1
    assert watched_as_toml(watched) == TEXT
    assert parse_watched(watched_as_toml(watched)) == watched


def test_where_there_are_decimals_the_point_is_left_out() -> None:
    form = parse_watched(TEXT.replace("skip_marks = true\n", "")).form()
    assert form is not None
    assert [field.skip_marks for field in form.fields] == [True, False]


def test_nothing_means_the_whole_page() -> None:
    assert parse_watched("").form() is None
    assert watched_as_toml(Watched()) == ""


def test_a_file_that_is_not_there_yet_has_no_fields(tmp_path) -> None:
    assert load_watched(tmp_path / "fields.toml") == Watched()


def test_fields_saved_with_a_byte_order_mark_are_read(tmp_path) -> None:
    path = tmp_path / "fields.toml"
    path.write_text(TEXT, "utf-8-sig")
    assert load_watched(path) == parse_watched(TEXT)


BOX = "box = [0, 0, 0.5, 0.5]"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (f"[[field]]\n{BOX}", "field 1 has no name"),
        ('[[field]]\nname = "a"', "field 'a': has no box; it is [x, y, width, height]"),
        (f'[[field]]\nname = "a"\n{BOX}\ndecimal = 1', "field 'a': no key is called 'decimal'; did you mean decimals?"),
        (f'[[field]]\nname = "a"\n{BOX}\ndecimals = 10', "field 'a': decimals is 10; it is a whole number from 0 to 9"),
        (f'[[field]]\nname = "a"\n{BOX}\ndecimals = true', "field 'a': decimals is True; it is a whole number"),
        (f'[[field]]\nname = "a"\n{BOX}\nlargest_step = -1', "field 'a': largest_step is -1; it is a number above 0"),
        (f'[[field]]\nname = "a"\n{BOX}\nroll_over = nan', "field 'a': roll_over is nan; it is a number above 0"),
        ('[[field]]\nname = "a"\nbox = [0, 0, 2, 1]', "field 'a': box [0, 0, 2, 1] goes beyond 1"),
        ("field = 3", "each field begins with [[field]], in two brackets"),
        ("[[field", "not valid TOML"),
    ],
)
def test_a_mistake_is_one_line_with_the_fields_name(text, mistake) -> None:
    with pytest.raises(UsageError) as error:
        parse_watched(text)
    assert str(error.value).startswith(mistake)
    assert "\n" not in str(error.value)
