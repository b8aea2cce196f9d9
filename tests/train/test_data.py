import gzip
import hashlib
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.preprocess import is_glyph
from train import data
from train.data import DataError, fetch_mnist, load, read_idx
from train.strokes import drawn_digits


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_npz_as_keras_ships_it(digits_npz: Path) -> None:
    loaded = load(digits_npz)
    assert loaded.labels == tuple("0123456789")
    assert len(loaded.test_images) == 200
    assert len(loaded.train_images) + len(loaded.validation_images) == 1200
    assert loaded.train_images.dtype == np.uint8 and loaded.train_images.shape[1:] == (28, 28)
    assert loaded.checksums == {"drawn.npz": hashlib.sha256(digits_npz.read_bytes()).hexdigest()}


def test_folder_of_classes_in_any_format_and_size(shapes_folder: Path) -> None:
    loaded = load(shapes_folder)
    assert loaded.labels == ("circle", "cross", "triangle")
    total = len(loaded.train_images) + len(loaded.validation_images) + len(loaded.test_images)
    assert total == 180
    assert np.mean([is_glyph(g) for g in loaded.train_images]) > 0.9


def test_folder_leaves_out_what_is_no_picture_and_says_so(
    shapes_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    folder = tmp_path / "shapes"
    shutil.copytree(shapes_folder, folder)
    (folder / "cross" / "notes.txt").write_text("not a picture")
    cv2.imwrite(str(folder / "cross" / "blank.png"), np.full((50, 50), 255, np.uint8))
    assert len(load(folder).labels) == 3
    said = capsys.readouterr().err
    assert "notes.txt" in said and "blank.png: no digit found" in said


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_idx_files_packed_or_not(tmp_path: Path, packed: str) -> None:
    images, labels = drawn_digits(400, 5)
    for split, part in (("train", slice(0, 300)), ("t10k", slice(300, 400))):
        write_idx(tmp_path / f"{split}-images-idx3-ubyte{packed}", images[part])
        write_idx(tmp_path / f"{split}-labels-idx1-ubyte{packed}", labels[part])
    loaded = load(tmp_path)
    assert loaded.labels == tuple("0123456789")
    assert np.array_equal(loaded.test_images, images[300:])


def test_emnist_is_turned_upright_and_its_mapping_gives_the_labels(tmp_path: Path) -> None:
    images, labels = drawn_digits(300, 6)
    turned = images.transpose(0, 2, 1)
    write_idx(tmp_path / "emnist-letters-train-images-idx3-ubyte", turned)
    write_idx(tmp_path / "emnist-letters-train-labels-idx1-ubyte", labels)
    (tmp_path / "emnist-letters-mapping.txt").write_text("".join(f"{k} {65 + k}\n" for k in range(10)))
    loaded = load(tmp_path)
    assert loaded.labels == tuple("ABCDEFGHIJ")
    known = {image.tobytes() for image in images}
    assert all(image.tobytes() in known for image in loaded.train_images)


def test_splits_are_disjoint_seeded_and_hold_every_class(digits_npz: Path) -> None:
    one, same, other = load(digits_npz, seed=1), load(digits_npz, seed=1), load(digits_npz, seed=2)
    assert np.array_equal(one.validation_images, same.validation_images)
    assert not np.array_equal(one.validation_images, other.validation_images)
    train = {image.tobytes() for image in one.train_images}
    assert not any(image.tobytes() in train for image in one.validation_images)
    assert set(one.validation_labels) == set(range(10))


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("missing", None, "no such data"),
        ("text.npz", b"hello", "cannot be read"),
        ("cut-images-idx3-ubyte", b"\0\0\x08\x03\0\0\0\x05", "cut off"),
        ("other-images-idx3-ubyte", b"hello there", "not an IDX file"),
    ],
)
def test_unusable_data_is_one_clear_error(tmp_path: Path, name: str, content: bytes | None, complaint: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=complaint) as error:
        read_idx(path) if "idx3" in name else load(path)
    assert "\n" not in str(error.value)


def test_single_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    with pytest.raises(DataError, match="at least two folders"):
        load(tmp_path)


# Fetching, against a real server on this machine that serves small stand-ins for MNIST under their own checksums.


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a local mirror serves; MNIST's names and sums are those of small files in it."""
    served = tmp_path / "served"
    served.mkdir()
    sums = {}
    for name in data.MNIST_SHA256:
        content = name.encode() * 100
        (served / f"{name}.gz").write_bytes(gzip.compress(content))
        sums[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(data, "MNIST_SHA256", sums)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(served))  # type: ignore[arg-type]

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(data, "MNIST_MIRRORS", (f"http://127.0.0.1:{server.server_port}/",))
    monkeypatch.setattr("shutil.which", lambda name: None)
    yield served
    server.shutdown()
    server.server_close()


def test_files_are_fetched_checked_and_kept(mirror: Path, tmp_path: Path) -> None:
    said: list[str] = []
    fetch_mnist(tmp_path / "data", say=said.append)
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == sorted(data.MNIST_SHA256)
    assert len(said) == 4
    fetch_mnist(tmp_path / "data", say=said.append)
    assert len(said) == 4


def test_a_broken_download_leaves_nothing_half_made_and_the_rest_is_kept(mirror: Path, tmp_path: Path) -> None:
    names = list(data.MNIST_SHA256)
    broken = mirror / f"{names[2]}.gz"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch_mnist(tmp_path / "data", say=lambda line: None)
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == sorted(names[:2])
    broken.write_bytes(whole)
    said: list[str] = []
    fetch_mnist(tmp_path / "data", say=said.append)
    assert said == [f"fetched {name}" for name in names[2:]]


def test_a_file_with_another_checksum_is_refused(mirror: Path, tmp_path: Path) -> None:
    name = next(iter(data.MNIST_SHA256))
    (mirror / f"{name}.gz").write_bytes(gzip.compress(b"not MNIST"))
    with pytest.raises(DataError, match="another checksum"):
        fetch_mnist(tmp_path / "data", say=lambda line: None)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_spoilt_file_in_the_folder_is_fetched_anew(mirror: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    name = next(iter(data.MNIST_SHA256))
    (folder / name).write_bytes(b"spoilt")
    fetch_mnist(folder, say=lambda line: None)
    assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == data.MNIST_SHA256[name]


def test_command_line_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "train", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("train: ") and "no such data" in run.stderr and len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("program", "arguments", "complaint"),
    [
        ("train", ["--seed", "-1"], "argument --seed: -1 is not between 0 and 4294967295"),
        ("train", ["--seed", "4294967296"], "argument --seed: 4294967296 is not between"),
        ("train", ["--epochs", "0"], "argument --epochs: 0 is less than 1"),
        ("train", ["--epochs", "-3"], "argument --epochs: -3 is less than 1"),
        ("train", ["--epochs", "many"], "argument --epochs: invalid whole number value: 'many'"),
        ("train", ["--full", "--quick"], "not allowed with argument"),
        ("train.measure", [], "the following arguments are required: source"),
        ("train.data", ["bogus"], "unrecognized arguments: bogus"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(program: str, arguments: list[str], complaint: str) -> None:
    run = subprocess.run([sys.executable, "-m", program, *arguments], capture_output=True, text=True, timeout=60)
    assert run.returncode == 2
    assert run.stderr.startswith(f"{program}: ") and complaint in run.stderr
    assert run.stderr.endswith(f"; see python -m {program} --help\n") and len(run.stderr.splitlines()) == 1
