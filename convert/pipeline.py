"""The whole conversion: load, find the input range, quantize, compare on the device's runtimes, calibrate, write."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convert import graph, measure, quantize
from convert.errors import ConversionError
from convert.metadata import LABELS_FILE, ModelCard, labels_text, packed
from convert.resolution import with_finer_output
from convert.source import Source, load
from edge.errors import UsageError
from edge.preprocess import PREPROCESSING_VERSION

if TYPE_CHECKING:
    from train.data import Dataset

DEFAULT_NAME = "digits"
METRICS_FILE = "metrics.json"
CARD_FILE = "MODEL_CARD.md"  # training writes it beside our own model
NO_NAME = r"[^\w.-]+|^$"  # what no file name here has in it
INPUT_RANGES = {"0-1": (0.0, 1.0), "0-255": (0.0, 255.0), "-1-1": (-1.0, 1.0)}  # what pixels 0 and 255 stand for

REPRESENTATIVE_GLYPHS = 1000  # of the training data; half as they are, half as the device would see them
REPRESENTATIVE_NEGATIVES = 250  # more, of what is none of the classes, where the model has one for it
ALLOWED_LOSS = 0.001  # of validation pictures, that int8 may lose to the source model
ALLOWED_PICTURES = 3  # that it may lose however few there are
RANGE_TIE = 0.005  # accuracies this near are told apart by likelihood: many networks hardly mind a larger input
TINY = 1e-12  # added to a probability before its logarithm
GUESSING = 1.05  # times the share of the commonest class: below it a model is no better than a guess
TEMPERATURE_DIGITS = 6  # significant, in the model file: its bytes must not hang on the last bits of a sum
NO_THRESHOLD = 0.0  # of a model that has no class for what is none of the others: nothing is refused
REFUSED_DIGITS = 0.001  # of the validation pictures of digits, that the threshold may refuse at most
# And of the same as the device would see them: more would cost ugly digits of other hands their answer. On half of
# USPS 0.4 % are refused so, and 1.1 % without this; of letters 12 % pass instead of 6 %.
REFUSED_RENDERED = 0.003
THRESHOLD_STEP = 1e-4  # to which the threshold is rounded, downwards
PROBABILITY_TOLERANCE = 1e-3  # of a row's sum, for an output to count as probabilities

PACKAGES = ("tensorflow", "keras", "numpy", "ai-edge-litert", "tflite-runtime")


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion made."""

    files: dict[str, Path]
    """The .tflite file of each variant."""
    labels: tuple[str, ...]
    input_range: tuple[float, float]
    output: str
    """`logits` or `probabilities`."""
    metrics: dict[str, Any]
    """What stands under "conversion" in metrics.json."""

    @property
    def table(self) -> str:
        """The measurements on the test split, for people."""
        return table(self.metrics)


def convert(
    model: str | Path = "models/digits.keras",
    data: "Dataset | str | Path | None" = None,
    *,
    out: str | Path = "models",
    name: str | None = None,
    input_range: str | None = None,
    labels: Sequence[str] | None = None,
    variants: Sequence[str] = quantize.VARIANTS,
    signature: str | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Conversion:
    """Converts a Keras model to .tflite files and measures each on the device's runtimes.

    model: a .keras or .h5 file or a SavedModel folder. data: the data it was trained on, loaded or as
    `train.data.load` takes it; without it what the model's own metrics.json names, else MNIST. out, name: the files
    are `out/name-variant.tflite`, the name the model's own if not given. input_range: `0-1`, `0-255` or `-1-1`;
    without it what metrics.json says, else the best on validation data. labels: in the order of the model's outputs,
    if not that of the data. signature: of a SavedModel with several. seed: chooses the samples. say: gets each line
    of progress. Nothing is written unless every variant is good. Raises UsageError, ConversionError or
    train.data.DataError.
    """
    from train import data as train_data

    unknown = [v for v in variants if v not in quantize.VARIANTS]
    if unknown or not variants:
        raise UsageError(f"no such variant: {', '.join(unknown) or 'none'}; choose from {', '.join(quantize.VARIANTS)}")
    if input_range is not None and input_range not in INPUT_RANGES:
        raise UsageError(f"{input_range}: no such input range; there are {', '.join(INPUT_RANGES)}")
    variants = [v for v in quantize.VARIANTS if v in variants]
    runtimes = measure.runtimes()
    model, out = Path(model), Path(out)
    name = re.sub(NO_NAME, "-", model.resolve().stem) if name is None else name
    if re.search(NO_NAME, name) or not name.strip("."):
        raise UsageError(f"{name!r}: a name is made of letters, digits, '.', '_' and '-'")
    training = _training_of(model)

    source = load(model, signature)
    say(f"{model}: {source.width}×{source.height}×{source.channels} in, {source.classes} classes out")
    if data is None:
        data = training.get("data", {}).get("source")
    # The splits are those of the training: another seed would validate on pictures the model has learnt.
    split = int(training.get("seed", seed))
    alone = bool(training.get("data", {}).get("alone"))
    dataset = train_data.load(data, seed=split, alone=alone) if data is None or isinstance(data, str | Path) else data
    none = _none_label(training, source, dataset.labels)
    names, classes = _labels(source, dataset.labels if none is None else (*dataset.labels, none), labels)
    validation_labels, test_labels = classes[dataset.validation_labels], classes[dataset.test_labels]

    bounds = _input_range(source, dataset, validation_labels, input_range, training, seed, say)
    expected = {
        "validation": _scores(source, dataset.validation_images, bounds),
        "test": _scores(source, dataset.test_images, bounds),
    }
    expected_accuracy = _accuracy(expected["validation"], validation_labels)
    commonest = np.bincount(validation_labels).max() / len(validation_labels)
    if expected_accuracy < GUESSING * commonest:
        say(
            f"warning: the model is right on {expected_accuracy:.2%} of the validation data, no better than guessing: "
            "are these the data, the labels and the input range it was trained with?"
        )

    card = ModelCard(
        name=name,
        description=f"Tells which of {len(names) - (none is not None)} classes a handwritten character belongs to.",
        labels=names,
        height=source.height,
        width=source.width,
        channels=source.channels,
        input_range=bounds,
        output="logits",
        temperature=1.0,
        rejection_threshold=NO_THRESHOLD,
        none=none,
        data_name=dataset.name,
        data_sha256=dataset.checksum,
    )
    say(f"making {', '.join(variants)}")
    function = quantize.frozen(source)
    sample = _representative(dataset.train_images, seed)
    if none is not None:
        sample = np.concatenate([sample, _representative_negatives(dataset, seed)])
    representative = source.values(sample, bounds)
    contents: dict[str, bytes] = {}
    stripped = False
    for variant in variants:
        contents[variant], stripped = graph.without_last_activation(quantize.make(function, variant, representative))
        if variant == "int8":
            contents[variant] = with_finer_output(contents[variant])
            graph.check_pixels(contents[variant], bounds)
    if not stripped and _is_probabilities(expected["validation"]):
        card = replace(card, output="probabilities")

    calibration_images, calibration_labels = _calibration(dataset.validation_images, validation_labels, seed)
    results: dict[str, dict[str, Any]] = {}
    files: dict[str, bytes] = {}
    for variant, content in contents.items():
        described = replace(card, name=f"{name} {variant}")
        results[variant] = _validated(content, described, dataset, validation_labels, expected["validation"], runtimes)
        if variant == "int8":
            _refuse_a_loss(results[variant], expected_accuracy, len(validation_labels))
        logits = measure.run(content, described, calibration_images, runtimes[0]).logits
        temperature = results[variant]["temperature"] = _temperature(logits, calibration_labels)
        threshold = NO_THRESHOLD
        if none is not None:
            clean, rendered = logits[: len(validation_labels)], logits[len(validation_labels) :]
            threshold = rejection_threshold(clean, rendered, names.index(none), temperature)
        results[variant]["rejection_threshold"] = threshold
        files[variant] = packed(content, replace(described, temperature=temperature, rejection_threshold=threshold))
    paths = {variant: out / f"{name}-{variant}.tflite" for variant in files}

    with tempfile.TemporaryDirectory() as folder:
        for variant, content in files.items():
            say(f"measuring {variant} on {len(test_labels)} test pictures")
            path = Path(folder) / paths[variant].name
            path.write_bytes(content)
            results[variant] |= {
                "file": path.name,
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            for runtime in runtimes:
                logits = measure.run(contents[variant], card, dataset.test_images, runtime).logits
                figures = _figures(logits, test_labels, expected["test"], results[variant]["temperature"])
                if none is not None:
                    figures |= _refusals(logits, test_labels, names.index(none), results[variant])
                time = measure.microseconds_per_glyph(path, dataset.test_images, runtime)
                results[variant].setdefault("microseconds_per_glyph", {})[runtime] = round(time, 1)
                results[variant].setdefault("runtimes", {})[runtime] = figures
            # The figures of a variant are those of the runtime the device takes first.
            results[variant] |= results[variant]["runtimes"][runtimes[0]]
    lead = "int8" if "int8" in results else variants[-1]
    metrics = {
        "source": {
            "file": model.name,
            "kind": source.kind,
            "sha256": source.sha256,
            "validation_accuracy": expected_accuracy,
            "accuracy": _accuracy(expected["test"], test_labels),
        },
        "data": {"name": dataset.name, "sha256": dataset.checksum},
        "versions": _versions(),
        "seed": seed,
        "preprocessing": PREPROCESSING_VERSION,
        "labels": list(names),
        "input_range": list(bounds),
        "output": card.output,
        "temperature": results[lead]["temperature"],
        "rejection_threshold": results[lead]["rejection_threshold"],
        "none": none,
        "pictures": {"validation": len(validation_labels), "test": len(test_labels)},
        "runtimes": list(runtimes),
        "variants": results,
    }
    _write(out, name, {paths[v].name: content for v, content in files.items()}, names, metrics)
    conversion = Conversion(paths, names, bounds, card.output, metrics)
    if name == DEFAULT_NAME and (model.parent / CARD_FILE).is_file() and out.resolve() == model.resolve().parent:
        from train.card import write_card

        write_card(out)
    say(conversion.table)
    say(f"written: {', '.join(str(path) for path in paths.values())}")
    return conversion


def table(metrics: dict[str, Any]) -> str:
    """The measurements of each variant on the test split, one line each."""
    runtimes = metrics["runtimes"]
    heads = ["model", "accuracy", "agreement", "size", *(f"µs a glyph, {r}" for r in runtimes)]
    source = metrics["source"]
    rows = [[source["file"], f"{source['accuracy']:.2%}", "", "", *("" for _ in runtimes)]]
    for variant, result in metrics["variants"].items():
        times = [f"{result['microseconds_per_glyph'][r]:.0f}" for r in runtimes]
        size = f"{result['bytes'] / 1024:.1f} KB"
        rows.append([variant, f"{result['accuracy']:.2%}", f"{result['agreement']:.2%}", size, *times])
    widths = [max(len(row[k]) for row in [heads, *rows]) for k in range(len(heads))]
    lines = []
    for first, *others in [heads, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


# What goes in -------------------------------------------------------------------------------------------------------


def _training_of(model: Path) -> dict[str, Any]:
    """What training wrote down about our own model, which lies beside it; {} for any other."""
    if model.name != f"{DEFAULT_NAME}.keras":
        return {}
    try:
        said = json.loads((model.parent / METRICS_FILE).read_text())["training"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return said if isinstance(said, dict) else {}


def _none_label(training: dict[str, Any], source: Source, in_data: tuple[str, ...]) -> str | None:
    """The label that our own training added to those of the data for what is none of them."""
    none = training.get("none")
    return none if isinstance(none, str) and none not in in_data and source.classes == len(in_data) + 1 else None


def _labels(
    source: Source, in_data: tuple[str, ...], wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The label of each output, and for each class of the data the output that stands for it."""
    if wanted is None:
        if len(in_data) != source.classes:
            raise ConversionError(
                f"{source.path}: gives {source.classes} classes, the data have {len(in_data)} ({_few(in_data)}); "
                "name its own data with --data, or its classes with --labels"
            )
        return in_data, np.arange(len(in_data))
    names = tuple(wanted)
    if len(names) != source.classes:
        raise ConversionError(
            f"{source.path}: gives {source.classes} classes, the labels are {len(names)} ({_few(names)})"
        )
    if len(set(names)) != len(names) or not all(name.strip() for name in names):
        raise ConversionError("each label needs a name of its own")
    if set(in_data) <= set(names):
        return names, np.array([names.index(label) for label in in_data])
    if len(in_data) != len(names):
        raise ConversionError(f"there are {len(names)} labels, the data have {len(in_data)} classes ({_few(in_data)})")
    return names, np.arange(len(names))


def _few(labels: Sequence[str]) -> str:
    return ", ".join(labels[:12]) + (", …" if len(labels) > 12 else "")


def _input_range(
    source: Source,
    dataset: "Dataset",
    validation_labels: NDArray[np.int64],
    wanted: str | None,
    training: dict[str, Any],
    seed: int,
    say: Callable[[str], None],
) -> tuple[float, float]:
    if wanted is not None:
        say(f"input range {wanted}, as asked")
        return INPUT_RANGES[wanted]
    said = training.get("input_range")
    if isinstance(said, list) and len(said) == 2:
        say(f"input range {said[0]:g}-{said[1]:g}, as it was trained")
        return float(said[0]), float(said[1])
    scores = {key: _scores(source, dataset.validation_images, bounds) for key, bounds in INPUT_RANGES.items()}
    accuracies = {key: _accuracy(values, validation_labels) for key, values in scores.items()}
    near = [key for key in scores if accuracies[key] >= max(accuracies.values()) - RANGE_TIE]
    best = near[0]
    if len(near) > 1:
        from train.augment import render

        # On pictures that are all easy a wrong, larger range only makes the model surer: hard ones tell.
        hard = render(dataset.validation_images, seed)
        surprise = {k: _surprise(_scores(source, hard, INPUT_RANGES[k]), validation_labels) for k in near}
        best = min(near, key=lambda key: surprise[key])
    tried = ", ".join(f"{key} {accuracy:.2%}" for key, accuracy in accuracies.items())
    say(f"input range {best}, the best on the validation data ({tried})")
    return INPUT_RANGES[best]


def _surprise(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean negative log-likelihood of the labels, in nats, under logits or probabilities (n, classes)."""
    from train.calibration import negative_log_likelihood

    return negative_log_likelihood(np.log(scores + TINY) if _is_probabilities(scores) else scores, labels)


def _scores(source: Source, glyphs: NDArray[np.uint8], bounds: tuple[float, float]) -> NDArray[np.float32]:
    return source.scores(source.values(glyphs, bounds))


def _representative(glyphs: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """A sample of the training glyphs, half of them as the device would see them, that spans all pixel values."""
    from train.augment import render

    rng = np.random.default_rng(seed)
    chosen = glyphs[rng.permutation(len(glyphs))[:REPRESENTATIVE_GLYPHS]]
    half = len(chosen) // 2
    sample = np.concatenate([chosen[half:], render(chosen[:half], seed)]) if half else chosen.copy()
    # Faint data of somebody's own must not narrow the input's range: stretch one glyph over all of it.
    first = sample[0].astype(np.float64)
    if sample.min() > 0 or sample.max() < 255:
        span = max(float(np.ptp(first)), 1.0)
        sample[0] = np.rint((first - first.min()) * 255 / span).astype(np.uint8)
        sample[0].flat[:2] = (0, 255)
    return sample


def _representative_negatives(dataset: "Dataset", seed: int) -> NDArray[np.uint8]:
    """A sample of what is none of the classes: its answers, too, must lie within the quantized ranges."""
    from train.negatives import make_negatives
    from train.strokes import FORMS

    if dataset.labels == tuple(FORMS):
        images, labels = dataset.train_images, dataset.train_labels
        return make_negatives(images, labels, REPRESENTATIVE_NEGATIVES, 1, seed, fetched=False).train
    own = dataset.none_images
    return dataset.train_images[:0] if own is None else own[:REPRESENTATIVE_NEGATIVES]


def _calibration(
    glyphs: NDArray[np.uint8], labels: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Validation glyphs, half as they are and half as the device would see them, with their classes."""
    from train.augment import render

    return np.concatenate([glyphs, render(glyphs, seed)]), np.concatenate([labels, labels])


# What comes out -----------------------------------------------------------------------------------------------------


def _accuracy(scores: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> float:
    return float(np.mean(scores.argmax(axis=1) == labels))


def _is_probabilities(scores: NDArray[np.float32]) -> bool:
    return bool(scores.min() >= 0 and np.abs(scores.sum(axis=1) - 1).max() < PROBABILITY_TOLERANCE)


def _validated(
    content: bytes,
    card: ModelCard,
    dataset: "Dataset",
    labels: NDArray[np.int64],
    expected: NDArray[np.float32],
    runtimes: Sequence[str],
) -> dict[str, Any]:
    """Accuracy and agreement on the validation data; the worst of the runtimes counts."""
    answers = [measure.run(content, card, dataset.validation_images, runtime).answers for runtime in runtimes]
    return {
        "validation_accuracy": float(min(np.mean(a == labels) for a in answers)),
        "validation_agreement": float(min(np.mean(a == expected.argmax(axis=1)) for a in answers)),
    }


def _refuse_a_loss(result: dict[str, Any], expected_accuracy: float, pictures: int) -> None:
    lost = round((expected_accuracy - result["validation_accuracy"]) * pictures)
    if lost > max(ALLOWED_LOSS * pictures, ALLOWED_PICTURES):
        raise ConversionError(
            f"int8 is refused: right on {result['validation_accuracy']:.2%} of {pictures} validation pictures, "
            f"the source model on {expected_accuracy:.2%}; nothing was written "
            "(--variants float32,float16,dynamic leaves int8 out)"
        )


def _temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    from train.calibration import fit_temperature

    return float(f"{fit_temperature(logits, labels):.{TEMPERATURE_DIGITS}g}")


def rejection_threshold(
    clean: NDArray[np.float32], rendered: NDArray[np.float32], none: int, temperature: float
) -> float:
    """The largest confidence that refuses at most REFUSED_DIGITS of clean digits and REFUSED_RENDERED of the others.

    clean, rendered: logits (n, classes) of digits as they are and as the device would see them. none: which class
    stands for no digit; the confidence is the probability of the likeliest of the others, out of all classes. (The
    probability of `none` alone does no better: at equal losses of digits as many letters pass.)
    """
    limits = []
    for logits, part in ((clean, REFUSED_DIGITS), (rendered, REFUSED_RENDERED)):
        confidence = np.sort(_digit_confidence(logits, none, temperature))
        limits.append(float(confidence[int(part * len(confidence))]))
    return round(max(0.0, min(limits) // THRESHOLD_STEP * THRESHOLD_STEP), 4)


def _digit_confidence(logits: NDArray[np.float32], none: int, temperature: float) -> NDArray[np.float64]:
    from train.calibration import softmax

    return np.asarray(np.delete(softmax(logits, temperature), none, axis=1).max(axis=1), np.float64)


def _refusals(
    logits: NDArray[np.float32], labels: NDArray[np.int64], none: int, variant: dict[str, Any]
) -> dict[str, float]:
    """What the rejection threshold does to the test data."""
    answered = _digit_confidence(logits, none, variant["temperature"]) >= variant["rejection_threshold"]
    right = np.delete(logits, none, axis=1).argmax(axis=1) == labels - (labels > none)
    return {"answered_right": float(np.mean(answered & right)), "refused": float(np.mean(~answered))}


def _figures(
    logits: NDArray[np.float32], labels: NDArray[np.int64], expected: NDArray[np.float32], temperature: float
) -> dict[str, float]:
    """How one variant does on the test data, on one runtime."""
    from train.calibration import expected_calibration_error, softmax

    return {
        "accuracy": _accuracy(logits, labels),
        "agreement": float(np.mean(logits.argmax(axis=1) == expected.argmax(axis=1))),
        "calibration_error_before": expected_calibration_error(softmax(logits), labels),
        "calibration_error": expected_calibration_error(softmax(logits, temperature), labels),
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _write(out: Path, name: str, models: dict[str, bytes], labels: Sequence[str], metrics: dict[str, Any]) -> None:
    """Puts everything in place, each file whole or not at all; models under other names than our own keep apart."""
    prefix = "" if name == DEFAULT_NAME else f"{name}-"
    record = out / f"{prefix}{METRICS_FILE}"
    try:
        whole = json.loads(record.read_text()) if record.exists() else {}
        if not isinstance(whole, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise ConversionError(f"{record}: is damaged ({error}); take it away and convert again") from None
    except OSError as error:
        raise ConversionError(f"{record}: cannot be read: {error.strerror}") from None
    whole["conversion"] = metrics
    contents = {
        **models,
        f"{prefix}{LABELS_FILE}": labels_text(labels).encode(),
        record.name: (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode(),
    }
    waiting: dict[Path, str] = {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        mask = os.umask(0)
        os.umask(mask)
        for file_name, content in contents.items():
            descriptor, temporary = tempfile.mkstemp(dir=out, prefix=f".{file_name}-")
            waiting[out / file_name] = temporary
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o666 & ~mask)
        for path in list(waiting):
            os.replace(waiting[path], path)
            del waiting[path]
    except OSError as error:
        raise ConversionError(f"{out}: cannot be written to: {error.strerror or error}") from None
    finally:
        for temporary in waiting.values():
            Path(temporary).unlink(missing_ok=True)
