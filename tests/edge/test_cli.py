"""The command, run for real."""

import csv
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import __version__
from tests.edge.helpers import MODEL, ROOT, Run, digit, pack

Runner = Callable[..., Run]

NOBODY = 65534  # user and group without rights
BARE_MODEL_WARNING = "says nothing about itself"
COLD_MEGABYTES = 80
HEADROOM_MEGABYTES = 4  # what a run over ten times as many pictures may take beyond


def complaints(run: Run) -> list[str]:
    """Lines on standard error, but for the warning that a model without metadata gets."""
    return [line for line in run.stderr.splitlines() if BARE_MODEL_WARNING not in line]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with ten pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n in range(10):
        cv2.imwrite(str(folder / f"{n}.png"), digit(str(n)))
    return folder


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder with 2,000 small pictures: enough to start processes."""
    folder = tmp_path / "many"
    folder.mkdir()
    data = [cv2.imencode(".png", digit(str(n), 64))[1].tobytes() for n in range(10)]
    for n in range(2000):
        (folder / f"{n:05d}.png").write_bytes(data[n % 10])
    return folder


def test_one_picture_gives_one_record(run: Runner, picture: Path) -> None:
    done = run("classify", picture)
    assert done.status == 0
    assert complaints(done) == []
    (record,) = done.records
    assert record["path"] == str(picture)
    assert record["label"] == "7"
    assert record["top"][0] == {"label": "7", "confidence": record["confidence"]}
    assert len(record["top"]) == 2


def test_records_come_in_the_order_of_the_arguments(run: Runner, pictures: Path) -> None:
    order = [str(pictures / f"{n}.png") for n in (5, 1, 9, 1)]
    assert [record["path"] for record in run("classify", *order).records] == order


def test_a_dash_reads_paths_from_standard_input(run: Runner, pictures: Path) -> None:
    done = run("classify", "-", stdin=f"{pictures / '1.png'}\n{pictures / '7.png'}".encode())
    assert [record["label"] for record in done.records] == ["1", "7"]


def test_no_paths_on_standard_input_are_no_records(run: Runner) -> None:
    done = run("classify", "-")
    assert (done.status, done.stdout) == (0, b"")


def test_a_path_gets_its_answer_before_the_next_one_is_known(picture: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "classify", "-"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
    )  # fmt: skip
    assert process.stdin and process.stdout
    for _ in range(3):
        process.stdin.write(os.fsencode(picture) + b"\n")
        assert select.select([process.stdout], [], [], 30)[0], "no answer while standard input stays open"
        assert json.loads(process.stdout.readline())["label"] == "7"
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()


@pytest.mark.parametrize("jobs", ["1", "2", "5"])
def test_the_number_of_processes_changes_nothing(run: Runner, many: Path, jobs: str) -> None:
    done = run("classify", many, "--jobs", jobs)
    assert done.status == 0
    assert [record["path"] for record in done.records] == [str(many / f"{n:05d}.png") for n in range(2000)]
    labels = [record["label"] for record in done.records]
    assert all(labels[n] == labels[n % 10] for n in range(2000))
    assert len(set(labels)) >= 5


def test_more_processes_than_the_system_has_descriptors_for_are_not_started(many: Path) -> None:
    limited = f"ulimit -n 24; exec {sys.executable} -m edge classify {many} --jobs 600"
    done = subprocess.run(["sh", "-c", limited], cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.count(b"\n") == 2000


def test_csv_for_spreadsheets(run: Runner, pictures: Path) -> None:
    done = run("classify", pictures, "--format", "csv", "--top-k", "3")
    rows = list(csv.DictReader(done.stdout.decode().splitlines()))
    assert [row["path"] for row in rows] == [str(pictures / f"{n}.png") for n in range(10)]
    assert rows[7]["label"] == "7"
    assert float(rows[7]["confidence"]) >= float(rows[7]["confidence_2"]) >= float(rows[7]["confidence_3"])


def test_min_confidence_refuses(run: Runner, picture: Path) -> None:
    (record,) = run("classify", picture, "--min-confidence", "1").records
    if record["confidence"] < 1:
        assert (record["label"], record["reason"]) == (None, "confidence below 1")
    assert record["top"]


def test_a_blank_picture_is_answered(run: Runner, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((80, 80), 250, np.uint8))
    done = run("classify", tmp_path / "blank.png")
    assert done.status == 0
    assert done.records == [
        {"path": str(tmp_path / "blank.png"), "label": None, "confidence": 0.0, "top": [], "reason": "no digit found"}
    ]


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Path]:
    """A folder with one good picture between everything that has ever gone wrong."""
    folder = tmp_path / "hostile"
    (folder / "deep/er").mkdir(parents=True)
    good, photo = cv2.imencode(".png", digit())[1].tobytes(), cv2.imencode(".jpg", digit(size=900))[1].tobytes()
    huge = good[:16] + (50_000).to_bytes(4, "big") * 2 + good[24:]
    for name, data in {
        "cut.jpg": photo[: len(photo) // 2], "cut.png": good[: len(good) // 2], "empty.png": b"", "huge.png": huge,
        "noise.webp": b"RIFF" + os.urandom(100), "text.png": b"this is only text\n", "m-good.png": good,
    }.items():  # fmt: skip
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "pipe.png")
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "deep/er/up").symlink_to(folder)
    with (folder / "large.tiff").open("wb") as file:
        file.truncate(65_000_000)
    yield folder
    shutil.rmtree(folder)


def test_each_hostile_file_costs_its_own_line_and_nothing_else(run: Runner, hostile: Path) -> None:
    start = time.perf_counter()
    done = run("classify", hostile)
    assert time.perf_counter() - start < 20
    said = {os.path.relpath(record["path"], hostile): record for record in done.records}
    assert done.status == 1
    assert {name: record.get("error") for name, record in said.items()} == {
        "cut.jpg": "the JPEG picture is cut short",
        "cut.png": "the PNG picture is cut short",
        "deep/er/up": "a loop of symbolic links",
        "empty.png": "the file is empty",
        "gone.png": "no such file",
        "huge.png": "50000x50000 pixels; more than 100 megapixels are not read",
        "large.tiff": "65 MB; files of more than 64 MB are not read",
        "m-good.png": None,
        "noise.webp": "not a picture that can be decoded",
        "pipe.png": "a named pipe, not a picture file",
        "self.png": "a loop of symbolic links",
        "text.png": "not a picture that can be decoded",
        "zero.png": "a device, not a picture file",
    }
    assert said["m-good.png"]["label"] == "7"
    assert all(set(record) == {"path", "error"} for name, record in said.items() if name != "m-good.png")
    assert complaints(done) == ["edge-digits: 12 of 13 pictures failed"]


def test_no_librarys_own_line_reaches_the_terminal(run: Runner, tmp_path: Path) -> None:
    good = cv2.imencode(".png", digit())[1].tobytes()
    tiff = cv2.imencode(".tiff", digit())[1].tobytes()
    bmp = cv2.imencode(".bmp", digit())[1].tobytes()
    damaged = bytearray(good)
    damaged[60] ^= 0xFF  # libpng says so on standard error
    for name, data in {
        "crc.png": bytes(damaged),
        "x.tiff": tiff[:8] + b"\xff" * 60 + tiff[68:],
        "x.bmp": bmp[:54],
    }.items():
        (tmp_path / name).write_bytes(data)
    script = "import sys, cv2, numpy\nfor p in sys.argv[1:]: cv2.imdecode(numpy.fromfile(p, numpy.uint8), -1)"
    raw = run(*sorted(tmp_path.iterdir()), python=(sys.executable, "-c", script))
    assert raw.stderr, "the libraries must have something to say about these files"
    done = run("classify", tmp_path)
    failed = sum("error" in record for record in done.records)
    assert failed >= 2
    assert complaints(done) == [f"edge-digits: {failed} of 3 pictures failed"]


AS_NOBODY = """
import os, sys
sys.path.insert(0, {root!r})
import edge.cli, edge.commands, edge.decode, edge.device, edge.output, edge.pipeline, edge.preprocess, edge.reader
import edge.source, csv, faulthandler, json.encoder, multiprocessing
edge.classifier.load_runtime()
os.setgroups([]); os.setgid({nobody}); os.setuid({nobody})
sys.exit(edge.cli.main(sys.argv[1:]))
"""


def test_a_file_without_read_permission_is_an_error(run: Runner) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copy(MODEL, folder / "model.tflite")
        (folder / "shut").mkdir()
        for path in ("a.png", "b.png", "shut/c.png"):
            cv2.imwrite(str(folder / path), digit())
        for path in ("b.png", "shut"):
            (folder / path).chmod(0)
        if os.getuid() == 0:  # root reads everything: import what it takes, then become nobody
            script = AS_NOBODY.format(root=str(ROOT), nobody=NOBODY)
            done = run("classify", "--model", folder / "model.tflite", folder, python=(sys.executable, "-c", script))
        else:
            done = run("classify", "--model", folder / "model.tflite", folder)
        (folder / "shut").chmod(0o755)
    assert [(os.path.basename(r["path"]), r.get("label"), r.get("error")) for r in done.records] == [
        ("a.png", "7", None),
        ("b.png", None, "no permission to read it"),
        ("shut", None, "no permission to read this folder"),
    ]
    assert done.status == 1


def test_a_file_that_vanishes_meanwhile_is_an_error(many: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "classify", str(many), "-"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
    )  # fmt: skip
    assert process.stdin and process.stdout
    first = process.stdout.readline()  # by now the folder is listed
    shutil.rmtree(many)
    process.stdin.close()
    records = [json.loads(line) for line in [first, *process.stdout.read().splitlines()]]
    process.stdout.close()
    assert process.wait(30) == 1
    assert len(records) == 2000
    assert records[-1] == {"path": str(many / "01999.png"), "error": "no such file"}


def test_names_that_are_not_utf8_come_back(run: Runner, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\xfe 7.png"
    Path(os.fsdecode(name)).write_bytes(cv2.imencode(".png", digit())[1].tobytes())
    for done in (
        run("classify", tmp_path),
        run("classify", "-", stdin=name),
        run("classify", tmp_path, env={"LC_ALL": "C"}),
    ):
        (record,) = done.records
        assert os.fsencode(record["path"]) == name
        assert record["label"] == "7"


@pytest.mark.parametrize(
    "arguments",
    [
        ["classify"],
        [],
        ["classify", "x.png", "--top-k", "0"],
        ["classify", "x.png", "--top-k", "many"],
        ["classify", "x.png", "--min-confidence", "2"],
        ["classify", "x.png", "--min-confidence", "nan"],
        ["classify", "x.png", "--jobs", "-1"],
        ["classify", "x.png", "--threads", "0"],
        ["classify", "x.png", "--threads", "100000"],
        ["classify", "x.png", "--format", "xml"],
        ["classify", "x.png", "--runtime", "onnx"],
        ["classify", "x.png", "--model", "/missing.tflite"],
        ["classify", "x.png", "--model", "/dev/zero"],
        ["frobnicate"],
        ["info", "--frobnicate"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line_and_status_2(run: Runner, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.status == 2
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("edge-digits: ")


def test_a_model_cut_short_is_one_line(run: Runner, picture: Path, tmp_path: Path) -> None:
    model = tmp_path / "cut.tflite"
    model.write_bytes(MODEL.read_bytes()[:30_000])
    done = run("classify", picture, "--model", model)
    assert (done.status, done.stdout) == (2, b"")
    assert done.stderr == f"edge-digits: {model}: the model file is damaged or cut short; fetch or convert it again\n"


def test_a_bare_model_is_warned_about_once(run: Runner, many: Path, tmp_path: Path) -> None:
    data = MODEL.read_bytes()
    archive = data.find(b"PK\x03\x04")
    model = tmp_path / "bare.tflite"
    model.write_bytes(data if archive < 0 else data[:archive])
    done = run("classify", many, "--model", model, "--jobs", "2")
    assert done.status == 0
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("edge-digits: warning: ")
    assert BARE_MODEL_WARNING in done.stderr


def test_labels_and_threshold_come_from_the_model(run: Runner, picture: Path, tmp_path: Path) -> None:
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "none"]
    model = pack(MODEL, tmp_path / "words.tflite", labels=words)
    assert run("classify", picture, "--model", model).records[0]["label"] == "seven"


def test_help_waits_for_no_library(run: Runner) -> None:
    script = "import sys; from edge.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    script += "print(sorted({'numpy', 'cv2', 'ai_edge_litert', 'tflite_runtime', 'json'} & set(sys.modules)))"
    for arguments in (["--help"], ["classify", "--help"], ["--version"]):
        done = run(*arguments, python=(sys.executable, "-c", script))
        assert done.stdout.decode().splitlines()[-1] == "[]", arguments
    assert run("--version").stdout.decode() == f"edge-digits {__version__}\n"


def test_importing_the_package_waits_for_no_library() -> None:
    script = "import sys, edge; dir(edge); print(sorted({'numpy', 'cv2'} & set(sys.modules))); edge.Classifier"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_head_ends_it_quietly(many: Path) -> None:
    command = f"{sys.executable} -m edge classify {many} --jobs 2 | head -n 3; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert lines[3] == "0"
    assert [line for line in done.stderr.splitlines() if BARE_MODEL_WARNING not in line] == []


def test_a_full_disk_is_one_line(picture: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge", "classify", str(picture)],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if BARE_MODEL_WARNING not in line] == [
        "edge-digits: No space left on device"
    ]


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_descriptor_is_no_crash(picture: Path, closed: int) -> None:
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" {closed}<&-', "-", sys.executable, "-m", "edge", "classify", str(picture), "-"],
        cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    if closed != 1:
        assert json.loads(done.stdout.splitlines()[0])["label"] == "7"
        assert done.returncode == 0


def test_ctrl_c_ends_it_with_130_and_no_traceback(tmp_path: Path) -> None:
    listed = tmp_path / "list"
    cv2.imwrite(str(tmp_path / "photo.png"), digit(size=1500))
    listed.write_text(f"{tmp_path / 'photo.png'}\n" * 20_000)
    with listed.open("rb") as paths:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge", "classify", "-", "--jobs", "2"],
            cwd=ROOT, stdin=paths, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert process.stdout
        for _ in range(30):
            process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert [line for line in errors.decode().splitlines() if BARE_MODEL_WARNING not in line] == []


def on_terminal(arguments: list[str], stdout_too: bool) -> tuple[bytes, bytes]:
    """What a terminal shows, and what goes to standard output where that is another place."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", *arguments],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=slave if stdout_too else subprocess.PIPE, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    shown, output = b"", b""
    streams = [master] if process.stdout is None else [master, process.stdout.fileno()]
    while streams:
        for stream in select.select(streams, [], [], 60)[0]:
            try:
                data = os.read(stream, 65536)
            except OSError:  # the other end of the terminal is closed
                data = b""
            if not data:
                streams.remove(stream)
            elif stream == master:
                shown += data
            else:
                output += data
    process.wait(60)
    if process.stdout:
        process.stdout.close()
    os.close(master)
    return shown, output


def test_on_a_terminal_a_person_gets_a_table(pictures: Path) -> None:
    shown, _ = on_terminal(["classify", str(pictures), "--jobs", "1"], stdout_too=True)
    lines = [line for line in shown.decode().splitlines() if BARE_MODEL_WARNING not in line]
    assert lines[0].split() == ["digit", "confidence", "or", "else", "picture"]
    assert len(lines) == 11
    assert lines[8].split()[0] == "7"
    assert lines[8].endswith("7.png")


def test_a_bar_shows_progress_where_the_answers_go_elsewhere(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), digit(size=2000))
    names = [str(tmp_path / "a.png")] * 150
    shown, output = on_terminal(["classify", *names, "--jobs", "1"], stdout_too=False)
    assert len(output.splitlines()) == 150
    assert b" of 150, " in shown
    assert shown.rstrip().endswith(b"\x1b[K"), "the bar is taken away at the end"


def test_few_pictures_get_no_bar(picture: Path) -> None:
    shown, output = on_terminal(["classify", str(picture)], stdout_too=False)
    assert b"\x1b" not in shown
    assert len(output.splitlines()) == 1


PEAK = """
import re, resource, sys
from edge.cli import main
status = main(sys.argv[2:])
own = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
with open(sys.argv[1], "w") as file:
    file.write(str(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)))
sys.exit(status)
"""


def peak_megabytes(run: Runner, note: Path, *arguments: str) -> float:
    """Resident memory at its highest of the command and, each by itself, of its processes.

    The kernel counts what the process was before it became Python into ru_maxrss of a child, so it looks itself up.
    """
    assert run(note, *arguments, python=(sys.executable, "-c", PEAK)).status == 0
    return int(note.read_text()) / 1024


def test_one_picture_takes_little_memory(run: Runner, picture: Path, tmp_path: Path) -> None:
    assert peak_megabytes(run, tmp_path / "peak", "classify", str(picture)) <= COLD_MEGABYTES


def test_memory_does_not_grow_with_the_number_of_pictures(run: Runner, many: Path, tmp_path: Path) -> None:
    few = peak_megabytes(run, tmp_path / "few", "classify", str(many), "--jobs", "2")
    lots = peak_megabytes(run, tmp_path / "lots", "classify", *[str(many)] * 10, "--jobs", "2")
    assert lots <= few + HEADROOM_MEGABYTES, f"{few:.0f} MB for 2,000 pictures, {lots:.0f} MB for 20,000"


def test_info_names_model_runtime_and_platform(run: Runner) -> None:
    done = run("info", "--format", "json")
    said = json.loads(done.stdout)
    assert done.status == 0
    assert said["model"]["path"] == str(MODEL)
    assert len(said["model"]["sha256"]) == 64
    assert said["model"]["size"] == MODEL.stat().st_size
    assert said["runtime"]["name"] in ("litert", "tflite")
    assert said["runtime"]["version"]
    assert said["numpy"] == np.__version__
    assert said["opencv"] == cv2.__version__
    assert said["cores"] == len(os.sched_getaffinity(0))
    assert said["problems"] == []
    (line,) = run("info").records
    assert line == said


def test_info_is_readable_too(run: Runner) -> None:
    text = run("info", "--format", "table").stdout.decode()
    assert "model sha256" in text
    assert "runtime version" in text


def test_info_works_without_a_runtime_and_says_how_to_get_one(run: Runner) -> None:
    script = "import sys\nfor m in ('ai_edge_litert', 'tflite_runtime'): sys.modules[m + '.interpreter'] = None\n"
    script += "from edge.cli import main; sys.exit(main(sys.argv[1:]))"
    done = run("info", python=(sys.executable, "-c", script))
    assert done.status == 1
    assert done.records[0]["runtime"] is None
    assert "pip install ai-edge-litert" in done.records[0]["problems"][0]
    assert "pip install ai-edge-litert" in done.stderr
    failed = run("classify", "x.png", python=(sys.executable, "-c", script))
    assert failed.status == 2
    assert len(complaints(failed)) == 1
    assert "pip install ai-edge-litert" in failed.stderr


@pytest.mark.parametrize("runtime", ["litert", "tflite"])
def test_the_runtime_can_be_chosen(run: Runner, runtime: str) -> None:
    pytest.importorskip({"litert": "ai_edge_litert", "tflite": "tflite_runtime"}[runtime])
    for done in (run("info", "--runtime", runtime), run("info", env={"EDGE_DIGITS_RUNTIME": runtime})):
        assert done.records[0]["runtime"]["name"] == runtime
