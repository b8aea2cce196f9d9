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

TAUGHT_BY = "It learnt {share:.0%} from the answers of another network trained the same way, of filters {widths}."

LICENCE = """\
MNIST is by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, derived from NIST's Special Databases 1 and 3, and
is available under the Creative Commons Attribution-Share Alike 3.0 licence. The model is released under this project's
MIT licence; the data are not part of it."""

REWRITTEN = """\
*Rewritten*: each validation digit redrawn by another hand and pen, photographed, and segmented by the device's
preprocessing. The test split is looked at once, after training."""

OVER_ALL = """\
These accuracies count a digit as wrong where `none` is the likeliest answer ({clean:.2%} of validation, {rendered:.2%}
of it rewritten). The device does not: it takes the likeliest digit, and refuses it below a threshold only."""

NEGATIVES = """\
The last class, `{none}`, is what is no digit: {count:,} more glyphs ({kinds}), made as MNIST's were and rendered as the
digits are, so that nothing but their form tells them apart. The letters come from {train} handwriting fonts, {test}
others are only measured on; characters that some hands write as a digit ({look_alikes}) are in neither.{sources}"""

SOURCES = """
The fonts are Fontsource's packages ({fonts}; SIL Open Font License or Apache License 2.0), the photographs those of
scikit-image's examples ({photographs}, each under the terms named there); neither is part of the project."""

TAUGHT = """\
It was taught {pictures} digits of one hand, beside MNIST: of {shown} it reads {after:.1%}{before}."""

REFUSAL = """\
An answer is refused where the probability of the likeliest digit, out of all classes, is below the threshold in the
model file: {threshold:g}, the largest that refuses at most {clean:.1%} of MNIST's validation digits
({validation:.2%}) and {rendered:.1%} of the same rendered, so that ugly digits keep their answers. With it in force the
int8 model is right on {right:.2%} of MNIST's test digits and refuses {refused:.2%}."""

REFUSAL_CURVE = """\
The letters are {letters:,}, of {fonts} handwriting fonts none of whose glyphs were trained on: every character of
`{characters}` in each. The other rows are {others:,} glyphs from digits, fonts and photographs that the training did
not see, rendered as a camera would show them."""

LINES = """\
Where a glyph alone leaves a doubt on a page (`edge-digits read`), a second network reads the line around it, as a
whole: {parameters:,} parameters, {size:.1f} KB in int8 (`lines-int8.tflite`). For every two pixels along a line of
writing it says which digit has its middle there, if any, and where that digit's sides are. It was trained on
{lines:,} lines of MNIST's training digits, drawn anew for every one of its {epochs} epochs (`train/line_images.py`):
near, touching, uneven, in cells, frames and rings, on ruled and squared paper, beside signs, other lines, and words in
handwriting, print and a plotter's letters, to which printed numbers are the counterpart.
Of {digits_of} lines of validation digits drawn the same way, with other fonts, it reads {exact:.1%} exactly in int8
({source:.1%} before quantization): they are made to be hard."""

PAGES = """\
Synthetic pages of MNIST's test digits (`train/scenes.py`), never trained on. *Normal*: turned by up to 5°, contrast
from 0.35, a tenth of the neighbours touching, a third of the pages ruled. *Hard*: turned by up to 15°, contrast from
0.15, a third of the neighbours touching, shadows, boxes, letters, blur, blackboards. *Blank*: no digit at all. *Signs*:
as normal, none touching, with currencies, per cent, sums, points, units, ticks and boxes to tick before, within and
behind every number; a line is exact where its digits are, and nothing but a `?` is there beside them."""

FAILS_DIGITS = """\
- Glyphs that two people would read differently: an open 4 and a 9, a 1 with a long upstroke and a 7, a 5 and a 6 whose
  bow nearly closes. The picture of the worst mistakes above shows them.
- Letters that are digits to some hand, such as O, l, I, S, Z and B, are answered as those; so is a bar, a ring, or a
  cut piece of a digit that looks like a whole one.
- It refuses most of what is no digit, not all: the table of refusals says how much gets through.
- Two digits in one picture, or a digit lying on its side, are not what `classify` is for.
- Strokes wider than a third of the digit close its loops, and a bold 8 may pass for a 1."""

FAILS_OTHERS = """\
Look at the picture of the worst mistakes above. Whatever is not one of the classes gets the class it is most like."""


def write_card(out: Path) -> None:
    """Writes out/MODEL_CARD.md from out/metrics.json."""
    metrics = json.loads((out / "metrics.json").read_text())
    training = metrics["training"]
    none = training.get("none")
    labels = [label for label in training["labels"] if label != none]
    digits = labels == [str(d) for d in range(10)]
    parts = [
        "# Model card: Edge Digits",
        "Written from `metrics.json`; the commands that measured are named beside the numbers.",
        "## What it is for",
        PURPOSE.format(thing="digit" if digits else "character", labels=", ".join(labels)),
        "## The network",
        NETWORK.format(
            widths=", ".join(map(str, training["hyperparameters"]["widths"])), parameters=training["parameters"]
        ),
        "## What it was trained on",
        *_data(training),
        "## How it does",
        *_accuracies(training),
        *_conversion(metrics.get("conversion")),
        *_refusal(metrics.get("refusal")),
        *_elsewhere(metrics.get("elsewhere")),
        *_lines(out / "lines.json"),
        *_scenes(metrics.get("scenes")),
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
    parts += _negatives(training)
    if training.get("note"):
        parts.append(training["note"])
    if training.get("hand"):
        hand = training["hand"]
        before = hand["accuracy_before"]
        parts.append(
            TAUGHT.format(
                pictures=hand["pictures"],
                shown=f"the {hand['held_back']} kept back" if hand["held_back"] else "them",
                after=hand["accuracy"],
                before="" if before is None else f", {before:.1%} before",
            )
        )
    if training.get("teacher"):
        widths = ", ".join(map(str, how["teacher_widths"]))
        parts.append(TAUGHT_BY.format(share=how["teacher_weight"], widths=widths))
    elif how["teacher_epochs"]:
        parts.append(TEACHER.format(share=how["teacher_weight"], epochs=how["teacher_epochs"]))
    return [*parts, LICENCE] if mnist else parts


def _negatives(training: dict[str, Any]) -> list[str]:
    kinds = training["images"].get("negatives")
    if not kinds:
        return []
    from train.fonts import families
    from train.letters import LOOK_ALIKES

    sources = training.get("negative_sources")
    return [
        NEGATIVES.format(
            none=training["none"],
            count=sum(kinds.values()),
            kinds=", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1])),
            train=len(families("train")),
            test=len(families("test")),
            look_alikes=LOOK_ALIKES,
            sources=SOURCES.format(fonts=sources[0], photographs=sources[1]) if sources else "",
        )
    ]


def _refusal(found: dict[str, Any] | None) -> list[str]:
    if not found:
        return []
    letters = found["letters"]
    rows = [(f"{t:g}", f"{missed:.2%}", f"{answered:.1%}") for t, missed, answered in letters["curve"]]
    strict = letters["threshold_at_one_percent"]
    rows.append((f"{strict:.3g}", "1.00%", f"{letters['answered_at_one_percent']:.1%}"))
    rows.sort(key=lambda row: float(row[0]))
    kinds = [(kind, row["glyphs"], f"{row['answered']:.1%}") for kind, row in found["negatives"].items()]
    from convert.pipeline import REFUSED_DIGITS, REFUSED_RENDERED
    from train.letters import LETTERS

    return [
        "### What it refuses, int8 (`python -m train.refusal`)",
        REFUSAL.format(
            threshold=found["threshold"],
            clean=REFUSED_DIGITS,
            rendered=REFUSED_RENDERED,
            validation=found["validation_refused"],
            right=found["test_right"],
            refused=found["test_refused"],
        ),
        _table(("threshold", "MNIST test digits refused", "letters answered as digits"), rows),
        _table(("what is no digit", "glyphs", "answered as a digit, at the threshold in force"), kinds),
        REFUSAL_CURVE.format(
            letters=letters["letters"],
            fonts=letters["fonts"],
            characters=LETTERS,
            others=sum(row["glyphs"] for row in found["negatives"].values()),
        ),
        "![False answers against missed digits](report/refusal.png)",
    ]


def _accuracies(training: dict[str, Any]) -> list[str]:
    images, results = training["images"], training["results"]
    rows = [
        ("validation", images["validation"], f"{results['validation_accuracy']:.2%}"),
        ("validation, rewritten", images["validation"], f"{results['rendered_accuracy']:.2%}"),
        ("test", images["test"], f"{results['test_accuracy']:.2%}"),
    ]
    parts = [_table(("set", "pictures", "`digits.keras`"), rows), REWRITTEN]
    if "validation_refused" in results:
        parts.append(OVER_ALL.format(clean=results["validation_refused"], rendered=results["rendered_refused"]))
    return parts


def _conversion(conversion: dict[str, Any] | None) -> list[str]:
    if not conversion:
        return []
    rows = []
    none = conversion.get("none") is not None
    for variant in conversion["variants"].values():
        times = variant.get("microseconds_per_glyph") or {}
        rows.append(
            (
                f"`{variant['file']}`",
                f"{variant['bytes'] / 1000:.1f} KB",
                f"{variant['answered_right']:.2%}, {variant['refused']:.2%} refused"
                if none
                else f"{variant['accuracy']:.2%}",
                f"{variant['agreement']:.2%}",
                ", ".join(f"{value:.0f} µs {runtime}" for runtime, value in times.items()),
            )
        )
    header = (
        "file",
        "size",
        "right" if none else "accuracy",
        "agrees with `digits.keras`",
        "a glyph, on the machine that converted",
    )
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


def _lines(path: Path) -> list[str]:
    """The network that reads whole lines: what its training and its conversion record."""
    if not path.is_file():
        return []
    record = json.loads(path.read_text())
    if "conversion" not in record:
        return []
    found, profile = record["conversion"], record["profile"]
    text = LINES.format(
        parameters=record["parameters"],
        size=found["bytes"] / 1000,
        lines=profile["lines"],
        epochs=len(record["history"]),
        digits_of=found["lines"],
        exact=found["int8"]["lines_exact"],
        source=found["keras"]["lines_exact"],
    )
    parts = ["### The line network (`python -m train.line_network`, `python -m convert.line_network`)", text]
    return [*parts, record["note"]] if record.get("note") else parts


def _scenes(scenes: dict[str, Any] | None) -> list[str]:
    """Whole pages: what `make evaluate` records."""
    if not scenes:
        return []
    rows = [
        (
            kind,
            scenes[kind]["pages"],
            _part(scenes[kind]["lines_exact"]),
            _part(scenes[kind]["segmentation_recall"]),
            _part(scenes[kind]["precision"]) if scenes[kind]["digits"] else "",
            f"{scenes[kind]['false_digits_per_page']:.2f}",
        )
        for kind in ("normal", "hard", "blank", "signs")
        if kind in scenes
    ]
    header = ("pages", "number", "lines read exactly", "digits found", "answers right", "false digits a page")
    parts = ["### Whole pages, int8 (`make evaluate`)", PAGES, _table(header, rows)]
    photos = scenes.get("photos")
    if photos:
        parts.append(
            f"In {photos['pictures']} photographs without writing (Debian's {', '.join(photos['packages'])}) it read "
            f"{photos['false_digits_per_picture']:.2f} digits a picture, all in {photos['pictures_with_false_digits']} "
            "of them. The rules that tell clutter from paper were tuned on part of them."
        )
    return parts


def _part(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


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
