"""The inbox: pictures are read once whatever happens, and put away without ever replacing one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import capture
from edge.capture import Frame, opened
from edge.daemon import inbox as module
from edge.daemon.inbox import Inbox, move
from edge.errors import EdgeDigitsError, SourceError
from tests.daemon.pictures import Memory
from tests.edge.frames import page

PNG = cv2.imencode(".png", page("4071"))[1].tobytes()
OTHER_PNG = cv2.imencode(".png", page("5"))[1].tobytes()
PATIENCE = 20.0  # seconds


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "SETTLE_SECONDS", 0.15)
    monkeypatch.setattr(capture, "SCAN_SECONDS", 0.05)
    monkeypatch.setattr(capture, "PATIENCE_SECONDS", 1.0)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def put(path: Path, content: bytes = PNG, age: float = 50.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def one(inbox: Inbox) -> Frame:
    deadline = time.monotonic() + PATIENCE
    while (frame := inbox.read()) is None:
        assert time.monotonic() < deadline, "no picture came"
    return frame


def path_of(frame: Frame) -> str:
    assert frame.path is not None
    return frame.path


def quiet(inbox: Inbox, seconds: float = 0.4) -> bool:
    deadline = time.monotonic() + seconds
    return all(inbox.read() is None for _ in iter(lambda: time.monotonic() < deadline, False))


def commit(inbox: Inbox, memory: Memory, frame: Frame, *, failed: bool = False) -> None:
    """What the daemon does first, in one transaction with the record."""
    memory.mark_picture(*inbox.picture(path_of(frame), failed=failed))


def test_a_picture_that_stays_is_read_once_also_across_restarts(folder: Path, memory: Memory) -> None:
    put(folder / "sub" / "a.png")
    with opened(Inbox(str(folder), memory)) as inbox:
        frame = one(inbox)
        assert np.array_equal(frame.load(), page("4071"))
        assert inbox.picture(path_of(frame))[0] == os.path.join("sub", "a.png")
        commit(inbox, memory, frame)
        inbox.done(path_of(frame))
        assert quiet(inbox)
    assert os.listdir(folder / "sub") == ["a.png"]
    with opened(Inbox(str(folder), memory)) as inbox:
        assert quiet(inbox), "read before the restart"
        put(folder / "sub" / "a.png", OTHER_PNG, 20)
        assert path_of(one(inbox)).endswith("a.png"), "written anew"


def test_a_picture_whose_record_was_not_committed_is_read_again(folder: Path, memory: Memory) -> None:
    put(folder / "a.png")
    with opened(Inbox(str(folder), memory)) as inbox:
        frame = one(inbox)
        assert quiet(inbox, 0.2)
        inbox.again(path_of(frame))
        assert one(inbox).path == frame.path
    with opened(Inbox(str(folder), memory)) as inbox:
        assert one(inbox).path == frame.path, "also after a restart"


def test_pictures_are_put_where_they_belong_and_those_folders_are_not_searched(folder: Path, memory: Memory) -> None:
    done, failed = folder / "done", folder / "bad" / "ones"
    put(folder / "sub" / "a.png")
    put(folder / "b.png", PNG[:1000], 20)
    with opened(Inbox(str(folder), memory, done=str(done), failed=str(failed))) as inbox:
        frame = one(inbox)
        commit(inbox, memory, frame)
        inbox.done(path_of(frame))
        frame = one(inbox)
        inbox.failed(path_of(frame), "the picture is cut short")
        assert quiet(inbox)
    assert (done / "sub" / "a.png").read_bytes() == PNG
    assert (failed / "b.png").read_bytes() == PNG[:1000]
    with opened(Inbox(str(folder), memory, done=str(done), failed=str(failed))) as inbox:
        assert quiet(inbox)
        (done / "sub" / "a.png").rename(folder / "sub" / "a.png")
        assert path_of(one(inbox)).endswith("a.png"), "who puts it back wants it read again"
    assert not memory.states, "what is put away needs not be remembered"


def test_pictures_that_were_taken_out_are_forgotten_but_not_those_of_an_empty_folder(
    folder: Path, memory: Memory, tmp_path: Path
) -> None:
    for name in ("a.png", "b.png"):
        put(folder / name)
    with opened(Inbox(str(folder), memory)) as inbox:
        for _ in range(2):
            commit(inbox, memory, one(inbox))
    away = tmp_path / "away"
    folder.rename(away)
    folder.mkdir()  # where a disk belongs that is not there yet
    with opened(Inbox(str(folder), memory)) as inbox:
        assert quiet(inbox, 0.2)
    assert sorted(memory.states) == ["a.png", "b.png"]
    folder.rmdir()
    away.rename(folder)
    (folder / "b.png").unlink()
    with opened(Inbox(str(folder), memory)) as inbox:
        assert quiet(inbox)
    assert list(memory.states) == ["a.png"]


def test_a_failed_picture_that_stays_is_not_tried_again(folder: Path, memory: Memory) -> None:
    put(folder / "a.png", PNG[:1000])
    for times in (1, 0):
        with opened(Inbox(str(folder), memory)) as inbox:
            for _ in range(times):
                inbox.failed(path_of(one(inbox)), "cut short")
            assert quiet(inbox)


def test_nothing_that_was_put_away_is_replaced(folder: Path, memory: Memory, tmp_path: Path) -> None:
    done = tmp_path / "done"
    for content in (PNG, OTHER_PNG, PNG):
        put(folder / "a.png", content)
        with opened(Inbox(str(folder), memory, done=str(done))) as inbox:
            frame = one(inbox)
            commit(inbox, memory, frame)
            inbox.done(path_of(frame))
    assert sorted(os.listdir(done)) == ["a-1.png", "a-2.png", "a.png"]
    assert (done / "a-1.png").read_bytes() == OTHER_PNG


@pytest.mark.parametrize("failed", [False, True])
def test_a_crash_between_commit_and_move_reads_nothing_twice(folder: Path, memory: Memory, failed: bool) -> None:
    put(folder / "a.png")
    put(folder / "b.png", OTHER_PNG, 20)
    folders = {"done": str(folder / "done"), "failed": str(folder / "failed")}
    with opened(Inbox(str(folder), memory, **folders)) as inbox:
        commit(inbox, memory, one(inbox), failed=failed)
    with opened(Inbox(str(folder), memory, **folders)) as inbox:
        assert path_of(one(inbox)).endswith("b.png")
        assert quiet(inbox)
    assert os.listdir(folder / ("failed" if failed else "done")) == ["a.png"], "the move was made up for"
    assert not (folder / "a.png").exists()


def test_a_crash_in_the_middle_of_a_move_leaves_one_picture(folder: Path, memory: Memory, tmp_path: Path) -> None:
    done = tmp_path / "done"
    put(folder / "a.png")
    with opened(Inbox(str(folder), memory, done=str(done))) as inbox:
        commit(inbox, memory, one(inbox))
        os.link(folder / "a.png", done / "a.png")
    with opened(Inbox(str(folder), memory, done=str(done))) as inbox:
        assert quiet(inbox)
    assert os.listdir(done) == ["a.png"] and not (folder / "a.png").exists()


def test_a_picture_that_was_written_anew_meanwhile_is_not_put_away_unread(folder: Path, memory: Memory) -> None:
    put(folder / "latest.png")
    with opened(Inbox(str(folder), memory, done=str(folder / "done"))) as inbox:
        frame = one(inbox)
        commit(inbox, memory, frame)
        put(folder / "latest.png", OTHER_PNG, 20)
        inbox.done(path_of(frame))
        assert np.array_equal(one(inbox).load(), page("5"))


def test_a_half_written_picture_is_left_until_it_is_whole(folder: Path, memory: Memory) -> None:
    with opened(Inbox(str(folder), memory)) as inbox:
        writer = (
            "import sys, time\nfile = open(sys.argv[1], 'wb', buffering=0)\ndata = sys.stdin.buffer.read()\n"
            "file.write(data[:3000]); time.sleep(0.5); file.write(data[3000:])"
        )
        subprocess.run([sys.executable, "-c", writer, str(folder / "a.png")], input=PNG, check=True, timeout=60)
        frame = one(inbox)
        assert np.array_equal(frame.load(), page("4071"))
        assert quiet(inbox)


def test_pictures_are_turned_when_they_are_loaded(folder: Path, memory: Memory) -> None:
    put(folder / "a.png")
    with opened(Inbox(str(folder), memory, rotate=90)) as inbox:
        frame = one(inbox)
        assert frame.path == str(folder / "a.png")
        assert np.array_equal(frame.load(), np.rot90(page("4071"), -1))


def test_what_cannot_be_moved_stays_and_is_not_read_twice(
    folder: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(folder / "a.png")

    def full(path: str, target: str) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "move", full)
    for _ in range(2):
        with opened(Inbox(str(folder), memory, done=str(folder / "done"))) as inbox:
            if not memory.states:
                frame = one(inbox)
                commit(inbox, memory, frame)
                inbox.done(path_of(frame))
            assert quiet(inbox)
    assert (folder / "a.png").exists()
    assert caplog.messages == [f"{folder / 'a.png'}: cannot be moved to {folder / 'done'}: No space left on device"] * 2


def test_a_store_that_is_full_keeps_no_picture_from_being_moved(
    folder: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder / "a.png")
    with opened(Inbox(str(folder), memory, done=str(folder / "done"))) as inbox:
        frame = one(inbox)
        commit(inbox, memory, frame)

        def full(path: str, state: str) -> None:
            raise EdgeDigitsError("the disk is full")

        monkeypatch.setattr(memory, "mark_picture", full)
        inbox.done(path_of(frame))
        assert os.listdir(folder / "done") == ["a.png"]
        assert quiet(inbox, 0.2)


def test_impossible_folders_are_one_clear_error(folder: Path, memory: Memory, tmp_path: Path) -> None:
    put(tmp_path / "file", b"")
    for source, says in (
        (Inbox(str(tmp_path / "none"), memory), "the folder is gone"),
        (Inbox(str(folder), memory, done=str(folder)), r"source\.done: .* is the folder that pictures come into"),
        (Inbox(str(folder), memory, failed=str(tmp_path / "file" / "x")), r"source\.failed: .*: Not a directory"),
    ):
        with pytest.raises(SourceError, match=says):
            source.open()


# Moving


def test_moving_goes_to_another_file_system(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm") / f"edge-digits-{os.getpid()}"
    assert os.stat("/dev/shm").st_dev != tmp_path.stat().st_dev
    try:
        for name in ("a.png", "a-1.png"):
            path = put(tmp_path / "a.png", age=100)
            assert move(str(path), str(elsewhere / "sub" / "a.png")) == str(elsewhere / "sub" / name)
            assert not path.exists()
        assert sorted(os.listdir(elsewhere / "sub")) == ["a-1.png", "a.png"], "nothing half is left"
        assert (elsewhere / "sub" / "a.png").read_bytes() == PNG
        assert (elsewhere / "sub" / "a.png").stat().st_mtime == pytest.approx(time.time() - 100, abs=5)
    finally:
        subprocess.run(["rm", "-rf", str(elsewhere)], check=True)


def test_moving_does_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # what FAT says

    monkeypatch.setattr(os, "link", none)
    for name in ("a.png", "a-1.png"):
        assert move(str(put(tmp_path / "a.png")), str(tmp_path / "done" / "a.png")) == str(tmp_path / "done" / name)
    assert sorted(os.listdir(tmp_path / "done")) == ["a-1.png", "a.png"]
    with pytest.raises(FileNotFoundError):
        move(str(tmp_path / "gone.png"), str(tmp_path / "done" / "gone.png"))
    assert sorted(os.listdir(tmp_path / "done")) == ["a-1.png", "a.png"], "no empty file is left"
