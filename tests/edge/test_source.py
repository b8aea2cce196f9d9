"""Paths become pictures, in order, and every search ends."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from edge import source
from edge.decode import read_file
from edge.errors import PictureError
from edge.source import LONGEST_LINE, Found, find


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def names(top: Path, found: list[Found | None]) -> list[str]:
    return [os.path.relpath(item.path, top) for item in found if item is not None]


def test_files_come_in_the_order_given_whatever_they_are_called() -> None:
    assert list(find(["b.txt", "a", "b.txt"])) == [Found("b.txt"), Found("a"), Found("b.txt")]


def test_a_folder_is_searched_in_order_of_names(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("c.PNG", "a.jpg", "b/z.webp", "b/inner/y.tiff", "b.bmp", "d.pgm")))
    assert names(tmp_path, list(find([str(tmp_path)]))) == [
        "a.jpg", "b/inner/y.tiff", "b/z.webp", "b.bmp", "c.PNG", "d.pgm",
    ]  # fmt: skip


def test_other_files_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("a.png", "notes.txt", "png", ".hidden.png", ".git/b.png", "model.tflite")))
    assert names(tmp_path, list(find([str(tmp_path)]))) == ["a.png"]


def test_folders_that_are_left_out_are_not_searched_by_whatever_name(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("a.png", "done/b.png", "sub/done/c.png", "sub/failed/d.png")))
    (tmp_path / "link").symlink_to(tmp_path / "done")
    without = [str(tmp_path / "sub" / ".." / "done"), str(tmp_path / "sub" / "failed"), str(tmp_path / "missing")]
    assert names(tmp_path, list(find([str(tmp_path)], without=without))) == ["a.png", "sub/done/c.png"]


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "notes.txt")
    assert list(find([str(tmp_path)])) == [Found(str(tmp_path), "no pictures in this folder")]


def test_a_link_to_a_folder_above_is_an_error_and_the_rest_goes_on(tmp_path: Path) -> None:
    touch(tmp_path / "a/b/one.png", tmp_path / "z.png")
    (tmp_path / "a/b/back").symlink_to(tmp_path)
    found = list(find([str(tmp_path)]))
    assert names(tmp_path, found) == ["a/b/back", "a/b/one.png", "z.png"]
    assert [item.error for item in found if item] == ["a loop of symbolic links", None, None]


def test_folders_that_link_to_each_other_are_searched_once(tmp_path: Path) -> None:
    touch(*(tmp_path / f"{name}/{name}.png" for name in "abcdefgh"))
    for one in "abcdefgh":
        for other in "abcdefgh":
            (tmp_path / one / f"to-{other}").symlink_to(tmp_path / other)
    found = [item for item in find([str(tmp_path)]) if item and item.error is None]
    assert sorted(os.path.basename(item.path) for item in found) == [f"{name}.png" for name in "abcdefgh"]


def test_a_tree_deeper_than_the_stack_is_searched(tmp_path: Path) -> None:
    here = os.getcwd()
    depth = 1200
    try:
        os.chdir(tmp_path)
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        Path("deep.png").write_bytes(b"")
    finally:
        os.chdir(here)
    try:
        found = list(find([str(tmp_path)]))
    finally:
        # pytest's own cleaning recurses, and would fail on this one.
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
    assert [os.path.basename(item.path) for item in found if item] == ["deep.png"]


def test_a_link_to_itself_with_a_pictures_name_is_left_to_the_decoder(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert names(tmp_path, list(find([str(tmp_path)]))) == ["loop.png"]


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_a_name_that_is_not_utf8_can_be_opened_again(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))).write_bytes(b"here")
    (item,) = find([str(tmp_path)])
    assert item is not None
    assert Path(item.path).read_bytes() == b"here"


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> int:
    """The end of a pipe to write to what `find` takes for standard input."""
    read, write = os.pipe()
    monkeypatch.setattr(source, "STANDARD_INPUT_DESCRIPTOR", read)
    return write


def test_paths_come_from_standard_input(standard_input: int, tmp_path: Path) -> None:
    touch(tmp_path / "inside.png")
    os.write(standard_input, b"a.png\n\nb with space.png\n" + os.fsencode(tmp_path) + b"\nlast \xff")
    os.close(standard_input)
    paths = [item.path for item in find(["x", "-", "y"]) if item]
    assert paths == ["x", "a.png", "b with space.png", str(tmp_path / "inside.png"), "last \udcff", "y"]


def test_a_list_with_carriage_returns_names_the_same_files(standard_input: int, tmp_path: Path) -> None:
    odd = tmp_path / "odd.png\r"
    touch(odd)
    os.write(standard_input, b"a.png\r\n\r\n" + os.fsencode(odd) + b"\nb.png\r")
    os.close(standard_input)
    assert [item.path for item in find(["-"]) if item] == ["a.png", str(odd), "b.png"]


def test_a_line_without_end_is_cut_and_too_long_to_be_a_path(standard_input: int) -> None:
    def feed() -> None:
        for _ in range(200):
            os.write(standard_input, b"x" * 65536)
        os.write(standard_input, b"\na.png\n")
        os.close(standard_input)

    writer = threading.Thread(target=feed)
    writer.start()
    first, second = (item for item in find(["-"]) if item)
    writer.join()
    assert first.path == "x" * LONGEST_LINE and second.path == "a.png"
    with pytest.raises(PictureError, match="the path is too long"):
        read_file(first.path)


def test_a_quiet_standard_input_says_wait_instead_of_blocking(standard_input: int) -> None:
    found = find(["-"])
    start = time.perf_counter()
    assert next(found) is None
    os.write(standard_input, b"a.p")
    assert next(found) is None, "half a line is not a path"
    os.write(standard_input, b"ng\nb.png\n")
    assert next(found) == Found("a.png")
    assert next(found) == Found("b.png")
    assert next(found) is None
    os.close(standard_input)
    assert list(found) == []
    assert time.perf_counter() - start < 1


def test_a_long_list_on_standard_input_is_not_gathered(standard_input: int) -> None:
    lines = 50_000
    writer = threading.Thread(target=lambda: (os.write(standard_input, b"x" * 99 + b"\n"), feed()))

    def feed() -> None:
        for _ in range(lines - 1):
            os.write(standard_input, b"x" * 99 + b"\n")
        os.close(standard_input)

    writer.start()
    count = sum(1 for item in find(["-"]) if item)
    writer.join()
    assert count == lines
