"""`edge-digits bench` measures this machine, and what it recommends is what its numbers say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge import bench, cli, device
from edge.arguments import RUNTIME_NAMES

ROOT = Path(__file__).parents[2]
KEYS = {
    "schema", "edge_digits", "device", "machine", "platform", "cores", "python", "numpy", "opencv", "runtime",
    "classify", "missing", "read", "threads", "cold_start_ms", "memory_mb", "memory_large_mb", "temperature_c",
    "throttled", "recommended", "defaults", "jobs", "seconds",
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict:
    """What the command says, the shortest run there is."""
    command = [sys.executable, "-m", "edge", "bench", "--json", "--seconds", "0.1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_it_measures_every_stage_of_every_picture(found):
    assert set(found) == KEYS
    assert found["schema"] == bench.SCHEMA
    sizes = [(row["width"], row["height"]) for row in found["read"]]
    assert sizes == [*bench.SIZES, bench.ON_A_DESK]
    for row in found["read"]:
        assert min(row["decode_ms"], row["segment_ms"], row["classify_ms"], row["cpu_ms"]) > 0
        assert row["frames_per_second"] == pytest.approx(1000 / row["read_ms"], abs=0.1)
        assert row["rounds"] >= bench.LEAST_ROUNDS
    assert found["cold_start_ms"] > 0
    assert found["memory_large_mb"] > found["memory_mb"] > 10


def test_it_reads_its_own_pictures_right(found):
    assert [row["text"] for row in found["read"]] == [bench.TEXT] * (len(bench.SIZES) + 1)


def test_every_runtime_is_measured_or_said_to_be_missing(found):
    measured = {row["runtime"] for row in found["classify"]}
    assert measured | set(found["missing"]) == set(RUNTIME_NAMES)
    assert not measured & set(found["missing"])


def test_what_it_recommends_is_what_was_fastest(found):
    single = [row for row in found["classify"] if row["threads"] == 1]
    best = min(single, key=lambda row: row["wall_us"])
    recommended = found["recommended"]
    assert (recommended["runtime"], recommended["model"]) == (best["runtime"], best["model"])
    by_threads = {row["threads"]: row["read_ms"] for row in found["threads"]}
    assert by_threads[recommended["threads"]] <= by_threads[1]


def test_table_names_what_was_measured(found):
    said = "\n".join(bench.lines(found))
    for word in ("decode", "segment", "classify", "4000×3000", "on a desk", "temperature", "recommended"):
        assert word in said


def _naming(runtime: str, wall: float, threads: int = 1) -> bench.Naming:
    return bench.Naming(runtime, "digits-int8.tflite", threads, wall, wall, 9)


def test_models_of_one_name_are_told_apart(tmp_path):
    one, other = tmp_path / "a/digits-int8.tflite", tmp_path / "b/digits-int8.tflite"
    assert bench._named([one, other, one]) == {str(one): one, str(other): other}
    assert bench._named([one]) == {"digits-int8.tflite": one}


def test_more_threads_are_recommended_only_where_they_are_worth_their_cores():
    named = [_naming("litert", 60), _naming("tflite", 50), _naming("litert", 10, threads=2)]

    def threads(times: dict[int, float], cores: int) -> int:
        rows = [bench.Threading(n, ms, ms, 9) for n, ms in times.items()]
        found = bench.recommend(named, rows, cores)
        assert found["runtime"] == "tflite"  # on one thread, as glyphs are named
        return found["threads"]

    assert threads({1: 10, 2: 9.5, 4: 9.2}, 4) == 1
    assert threads({1: 10, 2: 6, 4: 5.9}, 4) == 2
    assert threads({1: 10, 2: 6, 4: 3}, 4) == 4
    assert threads({1: 10, 2: 6, 4: 3}, 1) == 1


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_a_mistake_of_the_command_line(seconds, capsys):
    with pytest.raises(SystemExit) as ended:
        cli._parser().parse_args(["bench", "--seconds", seconds])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("cores", "free_megabytes", "jobs"),
    [(1, 300, 1), (4, 8000, 4), (4, 300, 2), (4, 50, 1), (2, None, 2)],
    ids=["Zero", "Pi 4", "Zero 2 W", "full", "memory unknown"],
)
def test_a_folder_is_read_with_as_many_processes_as_cores_and_memory_allow(
    cores, free_megabytes, jobs, monkeypatch, tmp_path
):
    said = tmp_path / "meminfo"
    if free_megabytes is not None:
        said.write_text(f"MemTotal: 1 kB\nMemAvailable: {free_megabytes * 1000} kB\n")
    monkeypatch.setattr(device, "MEMORY", said)
    monkeypatch.setattr(device, "cores", lambda: cores)
    assert device.jobs(threads=1) == jobs


def test_the_default_is_one_thread_of_the_runtime_everywhere():
    assert cli._parser().parse_args(["read", "a.png"]).threads == 1
