"""`edge-digits read`, run for real."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.decode import decode
from tests.edge.helpers import ROOT, Run, digit, page
from tests.edge.test_cli import complaints, hostile, on_terminal

__all__ = ["hostile"]

Runner = Callable[..., Run]

SECONDS = 1.0  # processor time that any picture may take
START_SECONDS = 1.0  # processor time of a command that has nothing to do
NOBODY = 65534


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A page of two lines."""
    path = tmp_path / "page.png"
    cv2.imwrite(str(path), page("5550172", "4903"))
    return path


@pytest.fixture
def form(tmp_path: Path) -> Path:
    """A form whose fields are the page's upper and lower half."""
    path = tmp_path / "form.toml"
    path.write_text(
        "[[field]]\nname = 'upper'\nbox = [0, 0, 1, 0.5]\npattern = '\\d{7}'\n"
        "[[field]]\nname = 'lower'\nbox = [0, 0.5, 1, 0.5]\nlength = 5\n"
    )
    return path


def test_a_page_gives_the_record_of_the_design(run: Runner, photo: Path) -> None:
    done = run("read", photo)
    assert done.status == 0
    assert complaints(done) == []
    (record,) = done.records
    assert list(record) == ["path", "width", "height", "text", "lines", "digits", "fields"]
    height, width = page("5550172", "4903").shape
    assert (record["path"], record["width"], record["height"]) == (str(photo), width, height)
    assert record["text"] == "5550172\n4903"
    assert record["lines"] == ["5550172", "4903"]
    assert record["fields"] == []
    assert [found["label"] for found in record["digits"]] == list("55501724903")
    assert [found["line"] for found in record["digits"]] == [0] * 7 + [1] * 4
    for found in record["digits"]:
        assert list(found) == ["label", "confidence", "box", "line"]
        assert 0.5 < found["confidence"] <= 1
        x, y, w, h = found["box"]
        assert 0 <= x < x + w <= width
        assert 0 <= y < y + h <= height
        assert 40 <= h <= 60


def test_a_picture_without_digits_has_an_empty_text(run: Runner, tmp_path: Path) -> None:
    path = tmp_path / "blank.png"
    cv2.imwrite(str(path), np.full((80, 120), 250, np.uint8))
    done = run("read", path)
    assert done.status == 0
    assert done.records == [
        {"path": str(path), "width": 120, "height": 80, "text": "", "lines": [], "digits": [], "fields": []}
    ]


def test_records_come_in_order_however_many_processes_there_are(run: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    for n in range(120):
        (folder / f"{n:03d}.png").write_bytes(cv2.imencode(".png", page(f"{n:03d}"))[1].tobytes())
    one, five = (run("read", folder, "--jobs", jobs) for jobs in ("1", "5"))
    assert one.stdout == five.stdout
    assert [record["path"] for record in one.records] == [str(folder / f"{n:03d}.png") for n in range(120)]
    assert sum(record["text"] == f"{n:03d}" for n, record in enumerate(one.records)) > 110


def test_paths_come_from_standard_input_too(run: Runner, photo: Path) -> None:
    done = run("read", "-", stdin=os.fsencode(photo) + b"\n")
    assert done.records[0]["lines"] == ["5550172", "4903"]


def test_each_hostile_file_costs_its_own_line_and_nothing_else(run: Runner, hostile: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    done = run("read", hostile, "--save", saved, "--crops", tmp_path / "crops")
    assert done.status == 1
    assert complaints(done) == ["edge-digits: 12 of 13 pictures failed"]
    errors = {os.path.relpath(record["path"], hostile): record.get("error") for record in done.records}
    assert errors["cut.jpg"] == "the JPEG picture is cut short"
    assert errors["huge.png"] == "50000x50000 pixels; more than 100 megapixels are not read"
    assert [name for name, error in errors.items() if error is None] == ["m-good.png"]
    assert all(set(record) == {"path", "error"} for record in done.records if "error" in record)
    assert os.listdir(saved) == ["m-good.png"]


def test_csv_has_a_row_a_digit(run: Runner, photo: Path, tmp_path: Path) -> None:
    done = run("read", photo, tmp_path / "missing.png", "--format", "csv")
    rows = list(csv.DictReader(done.stdout.decode().splitlines()))
    assert [row["label"] for row in rows] == [*"55501724903", ""]
    assert [(row["line"], row["position"]) for row in rows[6:8]] == [("0", "6"), ("1", "0")]
    assert rows[-1]["error"] == "no such file"
    record = run("read", photo).records[0]["digits"][3]
    assert [int(rows[3][name]) for name in ("x", "y", "width", "height")] == record["box"]


def test_a_terminal_shows_the_text(photo: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((80, 120), 250, np.uint8))
    shown, _ = on_terminal(["read", str(photo), str(tmp_path / "blank.png"), "missing.png"], stdout_too=True)
    lines = shown.decode().replace("\r\n", "\n").splitlines()
    assert lines[0] == "least sure  text"
    assert lines[1].strip() == f"{photo}:"
    assert lines[2].split() == [lines[2].split()[0], "%", "5550172"]
    assert lines[3].endswith("%  4903")
    assert lines[4].split() == ["-", f"{tmp_path}/blank.png:", "no", "digit", "found"]
    assert lines[5].split() == ["!", "missing.png:", "no", "such", "file"]


def test_min_confidence_refuses_inside_a_line_and_says_so(run: Runner, photo: Path) -> None:
    sure = run("read", photo).records[0]["digits"]
    line = [found for found in sure if found["line"] == 0]
    inner = min(line[1:-1], key=lambda found: found["confidence"])
    threshold = inner["confidence"] + 0.0002
    if min(line[0]["confidence"], line[-1]["confidence"]) < threshold or threshold > 1:
        pytest.skip("the least sure digit stands at an end of its line")
    (record,) = run("read", photo, "--min-confidence", str(threshold)).records
    assert "?" in record["lines"][0]
    assert any(found["label"] is None for found in record["digits"])


@pytest.mark.parametrize("asked", [0.9, 0.999, 1.0])
def test_a_higher_confidence_leaves_the_lines_and_the_places_as_they_are(
    run: Runner, photo: Path, asked: float
) -> None:
    (before,) = run("read", photo).records
    (record,) = run("read", photo, "--min-confidence", str(asked)).records
    assert [(f["box"], f["line"]) for f in record["digits"]] == [(f["box"], f["line"]) for f in before["digits"]]
    for found, sure in zip(record["digits"], before["digits"], strict=True):
        assert found["label"] in (sure["label"], None)
        assert (found["label"] is None) == (found["confidence"] < asked)


@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
def test_what_was_read_is_said_though_its_picture_cannot_be_kept(photo: Path, tmp_path: Path, form: str) -> None:
    # No file may grow: as on a disk that is full.
    command = 'ulimit -f 0; exec "$0" -m edge read --save "$1" --format "$2" "$3"'
    words = ["sh", "-c", command, sys.executable, str(tmp_path / "out"), form, str(photo)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be written" in done.stdout
    if form == "jsonl":
        record = json.loads(done.stdout)
        assert record["text"] == "5550172\n4903" and "cannot be written" in record["error"]
    else:
        assert len(done.stdout.splitlines()) > 3


def test_a_folder_of_a_phones_photos_says_that_they_are_not_read(run: Runner, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "phone"
    folder.mkdir()
    shutil.copy(photo, folder / "b.png")
    for name, brand in (("a.HEIC", b"heix"), ("c.heic", b"msf1")):
        (folder / name).write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(500))
    done = run("read", folder)
    assert done.status == 1
    assert [record.get("error", record.get("text")) for record in done.records] == [
        "HEIF pictures are not decoded by this OpenCV; save it as PNG or JPEG",
        "5550172\n4903",
        "HEIF pictures are not decoded by this OpenCV; save it as PNG or JPEG",
    ]


# Fields


def test_fields_are_read(run: Runner, photo: Path, form: Path) -> None:
    (record,) = run("read", photo, "--fields", form).records
    upper, lower = record["fields"]
    assert list(upper) == ["name", "text", "value", "confidence", "valid", "reason", "box"]
    assert (upper["name"], upper["value"], upper["valid"], upper["reason"]) == ("upper", "5550172", True, None)
    assert (lower["text"], lower["value"], lower["valid"]) == ("4903", None, False)
    assert lower["reason"] == "4 digits instead of 5"
    assert upper["confidence"] == min(found["confidence"] for found in record["digits"] if found["line"] == 0)
    assert upper["box"] == [0, 0, record["width"], round(record["height"] / 2)]


def test_csv_with_fields_has_a_row_a_field(run: Runner, photo: Path, form: Path) -> None:
    done = run("read", photo, "missing.png", "--fields", form, "--format", "csv")
    rows = list(csv.DictReader(done.stdout.decode().splitlines()))
    said = [(row["field"], row["value"], row["text"], row["valid"], row["reason"], row["error"]) for row in rows]
    assert said == [
        ("upper", "5550172", "5550172", "true", "", ""),
        ("lower", "", "4903", "false", "4 digits instead of 5", ""),
        ("", "", "", "", "", "no such file"),
    ]


def test_a_table_with_fields_names_them(run: Runner, photo: Path, form: Path) -> None:
    lines = run("read", photo, "--fields", form, "--format", "table").stdout.decode().splitlines()
    assert lines[2].endswith("%  upper = 5550172")
    assert lines[3].endswith("%  lower = 4903 (4 digits instead of 5)")


def test_a_page_that_cannot_be_straightened_costs_its_own_line(run: Runner, photo: Path, form: Path) -> None:
    form.write_text("deskew = 'page'\n" + form.read_text())
    done = run("read", photo, "--fields", form)
    assert done.status == 1
    assert done.records[0]["error"].startswith("no page found: ")


def test_a_mistaken_form_is_one_line_before_any_picture(run: Runner, photo: Path, form: Path) -> None:
    form.write_text(form.read_text().replace("length", "lenght"))
    done = run("read", photo, "--fields", form)
    assert (done.status, done.stdout) == (2, b"")
    assert done.stderr == f"edge-digits: {form}: field 'lower': no key is called 'lenght'; did you mean length?\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["read"],
        ["read", "x.png", "--fields"],
        ["read", "x.png", "--fields", "missing.toml"],
        ["read", "x.png", "--top-k", "2"],
        ["read", "x.png", "--save", "/dev/null"],
        ["read", "x.png", "--save", "/dev/null/below"],
        ["read", "x.png", "--crops", "/proc/nowhere"],
        ["read", "x.png", "--crops", ""],
        ["read", "x.png", "--format", "xml"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line_and_status_2(run: Runner, arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.status, done.stdout) == (2, b"")
    assert len(complaints(done)) == 1
    assert done.stderr.startswith("edge-digits: ")


# Saved pictures


def saved(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_saved_picture_keeps_name_and_kind_and_shows_boxes(run: Runner, tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg", "c.JPEG", "d.bmp", "e.jpg.png"):
        ending = "." + name.rsplit(".", 1)[1].lower()
        (tmp_path / name).write_bytes(cv2.imencode(ending, page("5550172"))[1].tobytes())
    assert run("read", tmp_path, "--save", tmp_path / "new/out").status == 0
    out = tmp_path / "new/out"
    assert saved(out) == ["a.png", "b.jpg", "c.JPEG", "d.png", "e.jpg.png"]
    for name in saved(out):
        data = (out / name).read_bytes()
        assert data.startswith(b"\x89PNG" if name.endswith("png") else b"\xff\xd8\xff")
        drawn = decode(out / name)
        assert drawn.shape == (*page("5550172").shape, 3)
        assert (np.ptp(drawn, axis=2) > 80).sum() > 500, "colour on a grey page"


def test_pictures_of_one_name_are_all_kept_and_a_rerun_replaces_them(run: Runner, tmp_path: Path) -> None:
    for folder, text in (("a", "55"), ("b", "4903"), ("c", "8")):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "page.png"), page(text))
    (tmp_path / "c" / "page-2.png").write_bytes((tmp_path / "c" / "page.png").read_bytes())
    inputs = [tmp_path / folder for folder in "abc"]
    out = tmp_path / "out"
    for jobs in ("1", "4"):
        assert run("read", *inputs, "--save", out, "--jobs", jobs).status == 0
        assert saved(out) == ["page-2-2.png", "page-2.png", "page-3.png", "page.png"]
        widths = [decode(out / name).shape[1] for name in ("page.png", "page-2.png")]
        assert widths == [page(text).shape[1] for text in ("55", "4903")]


def test_no_picture_is_saved_over_one_that_the_tool_did_not_make(run: Runner, tmp_path: Path) -> None:
    photo, other = tmp_path / "page.png", tmp_path / "elsewhere"
    cv2.imwrite(str(photo), page("5550172"))
    other.mkdir()
    shutil.copy(photo, other / "page.png")
    (tmp_path / "PAGE-2.png").write_bytes(b"mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    for _ in range(2):
        assert run("read", photo, other, "--save", tmp_path).status == 0
        assert {path: path.read_bytes() for path in before} == before
        assert len(list(tmp_path.glob("*.png"))) == 4


@pytest.mark.parametrize("option", ["--save", "--crops"])
def test_what_is_written_into_a_folder_that_is_searched_is_not_read(run: Runner, option: str, tmp_path: Path) -> None:
    for name in ("a.png", "z.png"):
        cv2.imwrite(str(tmp_path / name), page("4903"))
    for _ in range(2):
        done = run("read", tmp_path, option, tmp_path / "made")
        assert [os.path.relpath(record["path"], tmp_path) for record in done.records] == ["a.png", "z.png"]


def test_many_processes_save_every_picture_once(run: Runner, tmp_path: Path) -> None:
    for n in range(80):
        (tmp_path / f"in/{n:02d}").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / f"in/{n:02d}/page.png"), page(f"{n:02d}"))
    done = run("read", tmp_path / "in", "--save", tmp_path / "out", "--jobs", "4")
    assert done.status == 0
    assert saved(tmp_path / "out") == sorted(["page.png", *(f"page-{n}.png" for n in range(2, 81))])


def test_any_name_can_be_saved(run: Runner, tmp_path: Path) -> None:
    data = cv2.imencode(".png", page("7"))[1].tobytes()
    folder = tmp_path / "in"
    folder.mkdir()
    names = [b"\xff\xfe 7.png", "日本é.png".encode(), b"new\nline.png", b"x" * 250 + b".png"]
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(data)
    done = run("read", folder, "--save", tmp_path / "out")
    assert done.status == 0, done.stdout
    assert len(saved(tmp_path / "out")) == len(names)


AS_NOBODY = """
import os, sys
sys.path.insert(0, {root!r})
import edge.cli, edge.commands, edge.device, edge.output, edge.pipeline, edge.reader, edge.annotate, edge.crops
import csv, faulthandler, json.encoder, multiprocessing
edge.classifier.load_runtime()
os.setgroups([]); os.setgid({nobody}); os.setuid({nobody})
sys.exit(edge.cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("option", ["--save", "--crops"])
def test_a_folder_without_permission_is_one_line(run: Runner, option: str, tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o555)
    if os.getuid() == 0:  # root writes everywhere: become nobody
        script = AS_NOBODY.format(root=str(ROOT), nobody=NOBODY)
        done = run("read", "x.png", option, "/", python=(sys.executable, "-c", script))
    else:
        done = run("read", "x.png", option, shut)
    assert (done.status, done.stdout) == (2, b"")
    assert len(complaints(done)) == 1
    assert "pictures cannot be written there" in done.stderr


@pytest.mark.parametrize("option", ["--save", "--crops"])
def test_a_full_disk_costs_each_picture_its_line(run: Runner, option: str, photo: Path, tmp_path: Path) -> None:
    """With files limited to no byte at all, every write fails as on a full disk."""
    script = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    script += "from edge.cli import main; import edge.save; "
    script += "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); sys.exit(main(sys.argv[1:]))"
    done = run("read", photo, "missing.png", option, tmp_path / "out", python=(sys.executable, "-c", script))
    assert done.status == 1
    assert complaints(done) == ["edge-digits: 2 of 2 pictures failed"]
    assert "cannot be written: File too large" in done.records[0]["error"]
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


# Bad input


def blots() -> np.ndarray:
    picture = np.full((900, 1200), 235, np.uint8)
    for x, y, r in ((200, 200, 90), (700, 300, 190), (500, 700, 120), (1000, 700, 40)):
        cv2.circle(picture, (x, y), r, 5, cv2.FILLED)
    return picture


def specks() -> np.ndarray:
    picture = np.full((2000, 3000), 235, np.uint8)
    rng = np.random.default_rng(3)
    for x, y in zip(rng.integers(5, 2990, 10_000), rng.integers(5, 1990, 10_000), strict=True):
        cv2.circle(picture, (int(x), int(y)), int(rng.integers(1, 4)), 40, cv2.FILLED)
    return picture


BAD = {
    "one colour": lambda: np.full((1500, 2000, 3), (40, 180, 90), np.uint8),
    "black": lambda: np.zeros((1500, 2000), np.uint8),
    "noise": lambda: np.random.default_rng(1).integers(0, 256, (1500, 2000, 3), np.uint8),
    "1x1": lambda: np.full((1, 1), 7, np.uint8),
    "1x20000": lambda: np.random.default_rng(2).integers(0, 256, (1, 20_000), np.uint8),
    "20000x1": lambda: np.random.default_rng(2).integers(0, 256, (20_000, 1), np.uint8),
    "specks": specks,
    "blots": blots,
}


def processor_seconds(run: Runner, *arguments: str | os.PathLike[str]) -> tuple[Run, float]:
    note = "import resource, sys; from edge.cli import main; status = main(sys.argv[1:]); "
    note += "used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime); sys.exit(status)"
    done = run(*arguments, "--jobs", "1", python=(sys.executable, "-c", note))
    *lines, seconds = done.stdout.splitlines()
    return Run(done.status, b"\n".join(lines), done.stderr), float(seconds)


@pytest.mark.parametrize("kind", BAD)
def test_bad_pictures_are_answered_in_bounded_time(run: Runner, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    cv2.imwrite(str(path), BAD[kind]())
    done, seconds = processor_seconds(run, "read", path, "--save", tmp_path / "out", "--crops", tmp_path / "crops")
    assert done.status == 0, done.stderr
    assert seconds < START_SECONDS + SECONDS
    (record,) = done.records
    assert record["text"].count("\n") < 3, "nothing is written there"
    assert (record["height"], record["width"]) == BAD[kind]().shape[:2]


def test_a_page_upside_down_is_read_as_it_lies(run: Runner, tmp_path: Path) -> None:
    # Digits that are some either way up.
    cv2.imwrite(str(tmp_path / "page.png"), cv2.rotate(page("0880", "69", "800"), cv2.ROTATE_180))
    (record,) = run("read", tmp_path / "page.png").records
    assert record["lines"] == ["008", "69", "0880"]


def test_a_page_that_the_camera_noted_as_lying_is_set_upright(run: Runner, tmp_path: Path) -> None:
    from samples.make import ROTATED_RIGHT, with_orientation

    upright = page("5550172", "4903")
    lying = cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE)
    data = cv2.imencode(".jpg", lying, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    (tmp_path / "phone.jpg").write_bytes(with_orientation(data, ROTATED_RIGHT))
    done = run("read", tmp_path / "phone.jpg", "--save", tmp_path / "out")
    (record,) = done.records
    assert record["lines"] == ["5550172", "4903"]
    assert (record["height"], record["width"]) == upright.shape
    assert decode(tmp_path / "out/phone.jpg").shape[:2] == upright.shape


def test_small_digits_on_a_large_page_are_read_at_full_resolution_alone(run: Runner, tmp_path: Path) -> None:
    large = np.full((2600, 3400), 225, np.uint8)
    small = page("4903", height=14)
    large[1200 : 1200 + small.shape[0], 1500 : 1500 + small.shape[1]] = small
    cv2.imwrite(str(tmp_path / "large.png"), large)
    assert run("read", tmp_path / "large.png").records[0]["text"] == ""
    assert run("read", tmp_path / "large.png", "--full-resolution").records[0]["text"] == "4903"


def test_one_digit_is_a_page_too(run: Runner, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "seven.png"), digit("7"))
    assert run("read", tmp_path / "seven.png").records[0]["text"] == "7"


def test_an_answer_comes_before_the_next_path_is_known(photo: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "read", "-"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
    )  # fmt: skip
    assert process.stdin and process.stdout
    for _ in range(2):
        process.stdin.write(os.fsencode(photo) + b"\n")
        assert json.loads(process.stdout.readline())["lines"] == ["5550172", "4903"]
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()
