"""`python -m train.measure`: how good a model is on labelled pictures, read as the device reads them."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.arguments import Parser
from edge.classifier import Classifier
from edge.decode import decode
from edge.errors import EdgeDigitsError, PictureError
from edge.preprocess import single_glyph
from train.calibration import expected_calibration_error
from train.data import DataError

SURE = 0.99  # confidence from which a wrong answer is a broken promise


@dataclass(frozen=True, slots=True)
class Measurement:
    """How a model did on labelled pictures. Rates are parts of 1."""

    pictures: int
    accuracy: float
    """Right answers over all pictures; no answer counts as wrong."""
    no_answer: int
    """Pictures in which no digit was found, or whose best one is below the model's rejection threshold."""
    ece: float
    """Expected calibration error of the answers given."""
    sure: int
    """Answers at SURE or more."""
    wrong_when_sure: float
    """Part of those that is wrong."""


def measure(classifier: Classifier, frames: Sequence[NDArray[np.uint8] | Path], labels: Sequence[str]) -> Measurement:
    """Reads every frame (an array, or the path of a picture) as one digit and compares with the labels."""
    glyphs, known = [], []
    for frame, label in zip(frames, labels, strict=True):
        try:
            glyph = single_glyph(decode(frame) if isinstance(frame, Path) else frame)
        except PictureError as error:
            print(f"{frame}: {error}", file=sys.stderr)
            glyph = None
        if glyph is not None:
            glyphs.append(glyph)
            known.append(classifier.labels.index(label) if label in classifier.labels else -1)
    if not glyphs:
        raise DataError("none of the pictures holds a digit")
    probabilities = classifier.classify(np.stack(glyphs))
    if classifier.none_index is not None:
        probabilities[:, classifier.none_index] = 0
    answered = probabilities.max(axis=1) >= classifier.info.rejection_threshold
    if not answered.any():
        raise DataError("the model refuses every picture")
    probabilities, truth = probabilities[answered], np.asarray(known)[answered]
    right = probabilities.argmax(axis=1) == truth
    sure = probabilities.max(axis=1) >= SURE
    return Measurement(
        pictures=len(frames),
        accuracy=float(right.sum() / len(frames)),
        no_answer=len(frames) - int(answered.sum()),
        ece=expected_calibration_error(probabilities, truth),
        sure=int(sure.sum()),
        wrong_when_sure=float(np.mean(~right[sure])) if sure.any() else 0.0,
    )


def labelled_pictures(source: Path) -> tuple[list[NDArray[np.uint8] | Path], list[str]]:
    """Frames and labels of an .npz (images, labels), a folder with one folder a class, or files named LABEL_….

    Raises DataError.
    """
    if source.suffix == ".npz" and source.is_file():
        with np.load(source, allow_pickle=False) as arrays:
            keys = ("images", "labels") if "images" in arrays.files else ("x_test", "y_test")
            if not set(keys) <= set(arrays.files):
                raise DataError(f"{source}: needs arrays images and labels (or x_test and y_test)")
            return list(np.asarray(arrays[keys[0]], np.uint8)), [str(label) for label in arrays[keys[1]]]
    if not source.is_dir():
        raise DataError(f"{source}: give an .npz, a folder with one folder a class, or one of files named LABEL_…")
    files = sorted(p for p in source.rglob("*") if p.is_file() and not p.name.startswith("."))
    nested = [p for p in files if p.parent != source]
    if nested:
        return list(nested), [p.relative_to(source).parts[0] for p in nested]
    named = [p for p in files if "_" in p.name]
    if not named:
        raise DataError(f"{source}: no picture in it says its label")
    return list(named), [p.name.split("_")[0] for p in named]


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 the data or the model are at fault, 2 the command line."""
    parser = Parser(prog="python -m train.measure", description=__doc__)
    parser.add_argument("source", type=Path, help="an .npz, a folder with one folder a class, or files named LABEL_…")
    parser.add_argument("--model", type=Path, help="a .tflite file (default: the one in models/)")
    parser.add_argument("--runtime", choices=("litert", "tflite"))
    parser.add_argument("--record", metavar="NAME", help="keep the result in metrics.json and the model card")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder of metrics.json (default: models)")
    options = parser.parse_args(argv)
    try:
        frames, labels = labelled_pictures(options.source)
        result = measure(Classifier(options.model, runtime=options.runtime), frames, labels)
        if options.record:
            _record(options.out, options.record, result)
    except (EdgeDigitsError, OSError) as error:
        print(f"train.measure: {error}", file=sys.stderr)
        return 1
    print(
        f"{result.pictures} pictures, {result.accuracy:.2%} right, {result.no_answer} without an answer; "
        f"expected calibration error {result.ece:.2%}; "
        f"{result.wrong_when_sure:.2%} of {result.sure} answers at {SURE} or more wrong"
    )
    return 0


def _record(out: Path, name: str, result: Measurement) -> None:
    from train.card import write_card

    path = out / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics.setdefault("elsewhere", {})[name] = asdict(result)
    path.write_text(json.dumps(metrics, indent=2) + "\n")
    write_card(out)


if __name__ == "__main__":
    raise SystemExit(main())
