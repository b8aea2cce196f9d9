"""The model card: written from what metrics.json records of training, conversion and measurements."""

import json
from pathlib import Path
from typing import Any

import numpy as np

PURPOSE = """\
Naming one handwritten {thing} in a 28×28 glyph, on devices without a GPU or a network. Classes: {labels}. The glyph
comes from `edge`'s own preprocessing, which the model was trained behind. Its confidences are calibrated: decide by
them, and let a person look at what is unsure. It is not for identifying writers, nor for any decision about a person
that nobody checks."""

NETWORK = """\
A stack of 3×3 convolutions with batch normalisation (filters {widths}), {parameters:,} parameters. `digits.keras`
takes float32 from 0 to 1 and gives logits."""

DATA = """\
{training:,} pictures of {name} (SHA-256 over its files {sha256}…), {validation:,} more for every choice, seed {seed},
{epochs} epochs (the best on validation was {best_epoch}). Every digit is drawn anew again and again: affine, elastic,
pen width, paper, light, blur, noise, low resolution, postal scans, ruling, specks, then `edge`'s own segmentation."""

DRAWN = """\
To them come {drawn:.0%} digits drawn from strokes (`train/strokes.py`), in forms that are rare in MNIST: a 1 with a
long flag and a foot, a crossed 7, a 6 with a wide hook."""

TEACHER = "It learnt {share:.0%} from the answers of a larger network trained the same way for {epochs} epochs."

LICENCE = """\
MNIST is by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, derived from NIST's Special Databases 1 and 3, and
is available under the Creative Commons Attribution-Share Alike 3.0 licence. The model is released under this project's
MIT licence; the data are not part of it."""

REWRITTEN = """\
*Rewritten*: each validation digit redrawn by another hand and pen, photographed, and segmented by the device's
preprocessing. The test split is looked at once, after training."""

FAILS_DIGITS = """\
- Glyphs that two people would read differently: an open 4 and a 9, a 1 with a long upstroke and a 7, a 5 and a 6 whose
  bow nearly closes. The picture of the worst mistakes above shows them.
- It has ten answers: a letter, a drawing or a smudge gets the digit it is most like. Low confidence is a hint, not a
  promise.
- Two digits in one picture, or a digit lying on its side, are not what `classify` is for.
- Strokes wider than a third of the digit close its loops, and a bold 8 may pass for a 1."""

FAILS_OTHERS = """\
Look at the picture of the worst mistakes above. Whatever is not one of the classes gets the class it is most like."""


def write_card(out: Path) -> None:
    """Writes out/MODEL_CARD.md from out/metrics.json."""
    metrics = json.loads((out / "metrics.json").read_text())
    training = metrics["training"]
    digits = training["labels"] == [str(d) for d in range(10)]
    parts = [
        "# Model card: Edge Digits",
        "Written from `metrics.json`; the commands that measured are named beside the numbers.",
        "## What it is for",
        PURPOSE.format(thing="digit" if digits else "character", labels=", ".join(training["labels"])),
        "## The network",
        NETWORK.format(
            widths=", ".join(map(str, training["hyperparameters"]["widths"])), parameters=training["parameters"]
        ),
        "## What it was trained on",
        *_data(training),
        "## How it does",
        *_accuracies(training),
        *_conversion(metrics.get("conversion")),
        *_elsewhere(metrics.get("elsewhere")),
        *_seeds(metrics.get("seeds")),
        "## The report",
        "![Learning curves](report/learning_curves.png)",
        "![Confusion matrix](report/confusion_matrix.png)",
        "![The most confident mistakes](report/worst_mistakes.png)",
        "![Reliability](report/reliability.png)",
        "## Where it fails",
        FAILS_DIGITS if digits else FAILS_OTHERS,
    ]
    (out / "MODEL_CARD.md").write_text("\n\n".join(parts) + "\n")


def _data(training: dict[str, Any]) -> list[str]:
    data, how = training["data"], training["hyperparameters"]
    mnist = data["name"] == "mnist"
    parts = [
        DATA.format(
            training=training["images"]["training"],
            validation=training["images"]["validation"],
            name="MNIST" if mnist else data["name"],
            sha256=data["sha256"][:16],
            seed=training["seed"],
            epochs=training["epochs"],
            best_epoch=training["best_epoch"],
        )
    ]
    if training["images"]["drawn"]:
        parts.append(DRAWN.format(drawn=training["images"]["drawn"] / training["images"]["training"]))
    if how["teacher_epochs"]:
        parts.append(TEACHER.format(share=how["teacher_weight"], epochs=how["teacher_epochs"]))
    return [*parts, LICENCE] if mnist else parts


def _accuracies(training: dict[str, Any]) -> list[str]:
    images, results = training["images"], training["results"]
    rows = [
        ("validation", images["validation"], f"{results['validation_accuracy']:.2%}"),
        ("validation, rewritten", images["validation"], f"{results['rendered_accuracy']:.2%}"),
        ("test", images["test"], f"{results['test_accuracy']:.2%}"),
    ]
    return [_table(("set", "pictures", "`digits.keras`"), rows), REWRITTEN]


def _conversion(conversion: dict[str, Any] | None) -> list[str]:
    if not conversion:
        return []
    rows = []
    for variant in conversion["variants"].values():
        times = variant.get("microseconds_per_glyph") or {}
        rows.append(
            (
                f"`{variant['file']}`",
                f"{variant['bytes'] / 1000:.1f} KB",
                f"{variant['accuracy']:.2%}",
                f"{variant['agreement']:.2%}",
                ", ".join(f"{value:.0f} µs {runtime}" for runtime, value in times.items()),
            )
        )
    header = ("file", "size", "accuracy", "agrees with `digits.keras`", "a glyph, on the machine that converted")
    return ["### Quantized, on the test split, by the device's runtime (`make convert`)", _table(header, rows)]


def _elsewhere(sets: dict[str, Any] | None) -> list[str]:
    if not sets:
        return []
    rows = [
        (
            name,
            found["pictures"],
            f"{found['accuracy']:.2%}",
            found["no_answer"],
            f"{found['ece']:.2%}",
            f"{found['wrong_when_sure']:.2%} of {found['sure']}",
        )
        for name, found in sets.items()
    ]
    header = ("set", "pictures", "accuracy", "no answer", "calibration error", "wrong at confidence ≥ 0.99")
    return [
        "### Pictures it never saw, int8, read as the device does (`python -m train.measure`)",
        _table(header, rows),
    ]


def _seeds(seeds: dict[str, Any] | None) -> list[str]:
    if not seeds:
        return []
    runs = seeds["runs"]
    columns = list(next(iter(runs.values())))
    rows = [(f"seed {seed}", *(f"{runs[seed][name]:.2%}" for name in columns)) for seed in runs]
    rows.append(("mean", *(f"{float(np.mean([run[name] for run in runs.values()])):.2%}" for name in columns)))
    header = ("run", *(name.replace("_", " ") for name in columns))
    return [f"### `{seeds['command']}`, `digits.keras`, by seed", _table(header, rows)]


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])
