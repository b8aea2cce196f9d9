"""What a model file says about itself, as our own reader, the zip tools and a reader that we did not write see it."""

import fcntl
import json
import os
import subprocess
import venv
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert import Conversion, convert
from convert.metadata import normalization
from edge import model_file
from edge.classifier import Classifier
from train.data import Dataset

# tflite-support's native part wants libusb, for accelerators; libusb-package brings it without the system's packages.
READER_PACKAGES = ("tflite-support==0.4.4", "protobuf<4", "numpy<2", "libusb-package<2")
READER_PYTHONS = "tflite-support 0.4.4 has wheels up to Python 3.11"
PRELOAD = "import ctypes, libusb_package; ctypes.CDLL(libusb_package.get_library_path(), ctypes.RTLD_GLOBAL)\n"
DISPLAY = PRELOAD + (
    "import json, sys\n"
    "from tflite_support import metadata\n"
    "shown = metadata.MetadataDisplayer.with_model_file(sys.argv[1])\n"
    "files = {n: shown.get_associated_file_buffer(n).decode() for n in shown.get_packed_associated_file_list()}\n"
    "print(json.dumps({'metadata': json.loads(shown.get_metadata_json()), 'files': files}))\n"
)
CLASSIFY = PRELOAD + (
    "import json, sys\n"
    "import numpy as np\n"
    "from tflite_support.task import vision\n"
    "classifier = vision.ImageClassifier.create_from_file(sys.argv[1])\n"
    "images = np.load(sys.argv[2])\n"
    "answers = [classifier.classify(vision.TensorImage.create_from_array(image)) for image in images]\n"
    # Scores below 0 are left out: a picture can come without any answer.
    "found = [a.classifications[0].categories for a in answers]\n"
    "print(json.dumps([best[0].category_name if best else '' for best in found]))\n"
)


@pytest.fixture(scope="module")
def conversion(keras_file: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Conversion:
    out = tmp_path_factory.mktemp("models")
    return convert(keras_file, dataset, out=out, variants=["float32", "int8"], say=lambda line: None)


@pytest.fixture(scope="session")
def reader(request: pytest.FixtureRequest) -> Path:
    """Python in an environment with tflite-support, made once and kept.

    It lies in the folder that EDGE_DIGITS_TEST_VENVS names, else in pytest's cache.
    """
    import sys

    if sys.version_info[:2] > (3, 11):
        pytest.skip(READER_PYTHONS)
    kept = os.environ.get("EDGE_DIGITS_TEST_VENVS")
    folder = (Path(kept) if kept else Path(request.config.cache.mkdir("venvs"))) / "tflite-support"
    folder.parent.mkdir(parents=True, exist_ok=True)
    python, ready = folder / "bin" / "python", folder / "ready"
    with (folder.parent / "tflite-support.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists() or ready.read_text() != repr(READER_PACKAGES):
            venv.create(folder, with_pip=True, clear=True)
            install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
            done = subprocess.run([*install, *READER_PACKAGES], capture_output=True, text=True, timeout=600)
            if done.returncode:
                pytest.skip(f"tflite-support cannot be installed: {done.stderr.strip().splitlines()[-1]}")
            ready.write_text(repr(READER_PACKAGES))
    return python


def ask(python: Path, program: str, *arguments: Path) -> Any:
    answer = subprocess.run([python, "-c", program, *arguments], capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize(
    ("bounds", "mean", "std"), [((0.0, 1.0), 0.0, 255.0), ((-1.0, 1.0), 127.5, 127.5), ((0.0, 255.0), 0.0, 1.0)]
)
def test_normalization_says_how_a_pixel_becomes_a_value(bounds: tuple[float, float], mean: float, std: float) -> None:
    assert normalization(bounds) == (mean, std)
    assert np.copysign(1, normalization(bounds)[0]) == 1


def test_our_own_reader_knows_what_was_written(conversion: Conversion, dataset: Dataset) -> None:
    for variant, path in conversion.files.items():
        info = model_file.read(path)
        assert info.has_metadata
        assert info.labels == dataset.labels
        assert info.temperature == conversion.metrics["variants"][variant]["temperature"]
        assert (info.input_range, info.output, info.rejection_threshold) == ((0.0, 1.0), "logits", 0.0)
        assert info.training_data is not None
        assert (info.training_data.name, info.training_data.sha256) == (dataset.name, dataset.checksum)


def test_the_packed_files_are_a_plain_zip_archive(conversion: Conversion) -> None:
    for path in conversion.files.values():
        with zipfile.ZipFile(path) as archive:
            assert archive.namelist() == ["labels.txt", "edge-digits.json"]
            assert archive.testzip() is None
            assert all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
            assert archive.read("labels.txt").decode().split() == list("0123456789")
            said = json.loads(archive.read("edge-digits.json"))
        assert (said["format"], said["preprocessing"], said["none"]) == (1, 1, None)


def test_confidences_are_calibrated(conversion: Conversion, dataset: Dataset) -> None:
    """The temperature is the best on what it was fitted on: no other gives the same answers more likelihood."""
    from convert.pipeline import _calibration
    from train.calibration import negative_log_likelihood

    glyphs, labels = _calibration(dataset.validation_images, dataset.validation_labels, 0)
    path = conversion.files["int8"]
    temperature = model_file.read(path).temperature
    logits = np.log(Classifier(path)(glyphs).astype(np.float64) + 1e-300) * temperature
    best = negative_log_likelihood(logits, labels, temperature)
    assert best < negative_log_likelihood(logits, labels, temperature * 1.1)
    assert best < negative_log_likelihood(logits, labels, temperature / 1.1)


@pytest.mark.slow
def test_a_reader_that_we_did_not_write_shows_it(reader: Path, conversion: Conversion) -> None:
    for path in conversion.files.values():
        shown = ask(reader, DISPLAY, path)
        assert shown["files"]["labels.txt"] == "".join(f"{k}\n" for k in range(10))
        assert json.loads(shown["files"]["edge-digits.json"])["format"] == 1
        said = shown["metadata"]
        assert said["name"].startswith("digits ") and "10 classes" in said["description"]
        assert said["min_parser_version"] == "1.0.0"
        assert [file["name"] for file in said["associated_files"]] == ["edge-digits.json"]
        (graph,) = said["subgraph_metadata"]
        (picture,) = graph["input_tensor_metadata"]
        assert picture["content"]["content_properties_type"] == "ImageProperties"
        assert picture["content"]["content_properties"] == {
            "color_space": "GRAYSCALE",
            "default_size": {"width": 28, "height": 28},
        }
        (unit,) = picture["process_units"]
        assert unit == {"options_type": "NormalizationOptions", "options": {"mean": [0.0], "std": [255.0]}}
        assert picture["stats"] == {"max": [1.0], "min": [0.0]}
        (scores,) = graph["output_tensor_metadata"]
        assert scores["name"] == "logits"
        (labels,) = scores["associated_files"]
        assert (labels["name"], labels["type"]) == ("labels.txt", "TENSOR_AXIS_LABELS")


@pytest.mark.slow
def test_the_task_library_classifies_with_it(reader: Path, trained: Any, dataset: Dataset, tmp_path: Path) -> None:
    """tflite-support's ImageClassifier takes colour pictures only: labels, normalization and quantization all count."""
    trained(dataset, (32, 32, 3)).save(tmp_path / "colour.keras")
    made = convert(
        tmp_path / "colour.keras", dataset, out=tmp_path, variants=["float32", "int8"], say=lambda line: None
    )
    import cv2

    glyphs = dataset.test_images[:60]
    images = np.repeat(np.stack([cv2.resize(glyph, (32, 32)) for glyph in glyphs])[..., None], 3, -1)
    np.save(tmp_path / "images.npy", images)
    for path in made.files.values():
        names = ask(reader, CLASSIFY, path, tmp_path / "images.npy")
        assert np.mean([name == str(label) for name, label in zip(names, dataset.test_labels[:60], strict=True)]) > 0.9
