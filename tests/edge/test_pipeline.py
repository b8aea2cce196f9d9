"""Pictures are spread over processes, and nobody can tell from what comes out."""

import faulthandler
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from edge import pipeline
from edge.pipeline import Lines
from edge.source import Found

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture(autouse=True)
def _start_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "ALONE_SECONDS", 0.0)


def work(items: Sequence[Found]) -> Lines:
    """Does what a path says: sleep, crash, fail, or name the process."""
    text = b""
    failed = 0
    for item in items:
        verb, _, rest = item.path.partition(" ")
        if verb == "sleep":
            time.sleep(float(rest.split()[0]))
        elif verb == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif verb == "exit":
            os._exit(3)
        elif verb == "fail":
            failed += 1
        elif verb == "long":
            text += b"x" * int(rest)
        text += (f"{os.getpid()}" if verb == "who" else item.path).encode() + b"\n"
    return Lines(text, len(items), failed)


def crashed(item: Found, how: str) -> Lines:
    return Lines(f"crashed {item.path} {how}\n".encode(), 1, 1)


def run(paths: Sequence[str] | Iterator[Found | None], jobs: int = 3) -> list[Lines]:
    found = (Found(path) for path in paths) if isinstance(paths, list) else paths
    return list(pipeline.run(found, work, crashed, faulthandler.disable, jobs))  # type: ignore[arg-type]


def text(results: list[Lines]) -> list[str]:
    return b"".join(lines.text for lines in results).decode().splitlines()


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_answers_come_in_the_order_of_the_questions(jobs: int) -> None:
    paths = [f"sleep {0.02 if n % 7 == 0 else 0} {n:05d}" for n in range(300)]
    results = run(paths, jobs)
    assert text(results) == paths
    assert sum(lines.pictures for lines in results) == 300


def test_the_work_is_shared() -> None:
    seen = text(run([part for n in range(100) for part in ("who", "sleep 0.002")], jobs=2))
    processes = {line for line in seen if line.isdigit()}
    assert len(processes) >= 3, "this process to begin with, and two more"


def test_few_pictures_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "ALONE_SECONDS", 60.0)
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    assert set(text(run(["who"] * 50))) == {str(os.getpid())}


def test_failures_are_counted() -> None:
    assert sum(lines.failed for lines in run(["fail", "ok", "fail"] * 50)) == 100


@pytest.mark.parametrize(("verb", "how"), [("segfault", "SIGSEGV"), ("exit", "exit status 3")])
def test_a_picture_that_takes_its_process_down_costs_only_its_own_line(verb: str, how: str) -> None:
    paths = [f"{n}" for n in range(200)]
    paths[50] = paths[120] = verb
    paths[121] = f"{verb} again"
    expected = [f"crashed {path} {how}" if path.startswith(verb) else path for path in paths]
    results = run(paths, jobs=2)
    assert text(results) == expected
    assert sum(lines.failed for lines in results) == 3


def test_large_answers_do_not_stall() -> None:
    paths = ["long 300000" for _ in range(40)]
    assert sum(len(lines.text) for lines in run(paths, jobs=2)) == 40 * (300_000 + len("long 300000\n"))


def test_long_paths_do_not_stall() -> None:
    paths = [f"{n}" + "p" * 4000 for n in range(500)]
    assert text(run(paths, jobs=2)) == paths


def test_an_answer_is_handed_on_while_the_source_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    monkeypatch.setattr(pipeline, "STANDARD_INPUT_DESCRIPTOR", read)

    def source() -> Iterator[Found | None]:
        for n in range(20):
            yield Found(f"{n}")
        while not finished:
            yield None

    finished: list[bool] = []
    results = pipeline.run(source(), work, crashed, faulthandler.disable, 2)
    seen: list[str] = []
    while len(seen) < 20:  # would wait for ever if answers were held back until more questions came
        seen += next(results).text.decode().split()
    assert seen == [f"{n}" for n in range(20)]
    finished.append(True)
    os.write(write, b"\n")
    assert list(results) == []
    os.close(read)
    os.close(write)


def test_no_process_is_left_behind() -> None:
    results = pipeline.run((Found(f"{n}") for n in range(10_000)), work, crashed, faulthandler.disable, 2)
    for _ in range(20):
        next(results)
    descriptors = len(os.listdir("/proc/self/fd"))
    results.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert len(os.listdir("/proc/self/fd")) == descriptors - 4


@pytest.mark.parametrize("granted", [0, 1, 2])
def test_the_work_is_done_by_as_many_processes_as_the_system_grants(
    granted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork, forks = os.fork, iter(range(granted))

    def scarce() -> int:
        if next(forks, None) is None:
            raise BlockingIOError("Resource temporarily unavailable")
        return fork()

    monkeypatch.setattr(os, "fork", scarce)
    descriptors = len(os.listdir("/proc/self/fd"))
    paths = [f"{n}" for n in range(500)]
    assert text(run(paths, jobs=5)) == paths
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_processes_end_when_the_first_is_killed(tmp_path: Path) -> None:
    parent = os.fork()
    if parent == 0:

        def record(items: Sequence[Found]) -> Lines:
            (tmp_path / f"{os.getpid()}").touch()
            return work(items)

        for _ in pipeline.run((Found("sleep 0.01") for _ in range(10_000)), record, crashed, faulthandler.disable, 2):
            pass
        os._exit(0)
    try:
        wait_until(lambda: len(os.listdir(tmp_path)) == 3)
    finally:
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
    wait_until(lambda: all(is_gone(process) for process in os.listdir(tmp_path)))


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(0.02)


def is_gone(process: str) -> bool:
    """It ended, whether or not anyone has asked for how yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_memory_stays_flat_however_many_pictures_there_are() -> None:
    source = (Found(f"{n:0200d}") for n in range(100_000))
    results = pipeline.run(source, work, crashed, faulthandler.disable, 2)
    first = 0
    while first < 20_000:  # until chunks are as long as they get
        first += next(results).pictures
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pictures = sum(lines.pictures for lines in results)
    assert first + pictures == 100_000
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 4 * 1024, f"{grown} KB more after {pictures} pictures"


def test_chunks_shrink_at_the_end_so_that_no_process_waits_long_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    give = pipeline._Crew._give

    def counting(self: pipeline._Crew, worker: pipeline._Worker, chunk: int, items: list[Found]) -> None:
        sizes.append(len(items))
        give(self, worker, chunk, items)

    monkeypatch.setattr(pipeline._Crew, "_give", counting)
    paths = [f"sleep 0.002 {n}" for n in range(600)]
    assert text(run(paths, jobs=2)) == paths
    assert max(sizes) >= 10
    assert sizes[-1] <= 3 and sum(sizes[-3:]) <= 12
