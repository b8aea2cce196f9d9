"""A report people look at: learning curves, confusion matrix, worst mistakes, reliability; and the model card."""

import json
from pathlib import Path
from typing import Any

import keras
import matplotlib
import numpy as np
from numpy.typing import NDArray

from edge.preprocess import GLYPH_SIZE
from train.calibration import BINS, expected_calibration_error, reliability, softmax
from train.data import Dataset
from train.train import logits_of

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DPI = 110
INK = "#1f3b57"
SECOND = "#c8553d"
PALE = "#d9d9d9"
WORST = (4, 10)  # rows and columns of mistakes shown
LABELLED_CLASSES = 30  # a confusion matrix with more classes has no room for numbers


def write_report(model: keras.Model, data: Dataset, record: dict[str, Any], out: Path) -> None:
    """Writes out/report/*.png from the test split, and out/MODEL_CARD.md."""
    folder = out / "report"
    folder.mkdir(parents=True, exist_ok=True)
    logits = logits_of(model, data.test_images)
    probabilities = softmax(logits, record["results"]["temperature"])
    learning_curves(record["history"], folder / "learning_curves.png")
    confusion_matrix(probabilities, data, folder / "confusion_matrix.png")
    worst_mistakes(probabilities, data, folder / "worst_mistakes.png")
    reliability_diagrams(
        {"as trained": softmax(logits), "with the fitted temperature": probabilities},
        data.test_labels,
        folder / "reliability.png",
    )
    write_card(out)


def learning_curves(history: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Loss, and error on validation as it is and rewritten, epoch by epoch, a line style a network."""
    figure, (loss, error) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name, epochs in history.items():
        at = np.arange(1, len(epochs) + 1)
        style = "-" if name == "digits" else ":"
        loss.plot(at, [e["loss"] for e in epochs], style, color=INK, label=name)
        error.plot(
            at,
            [100 * (1 - e["validation_accuracy"]) for e in epochs],
            style,
            color=INK,
            label=f"{name}, validation",
        )
        error.plot(
            at,
            [100 * (1 - e["rendered_accuracy"]) for e in epochs],
            style,
            color=SECOND,
            label=f"{name}, rewritten",
        )
    loss.set(title="Training loss", xlabel="epoch", yscale="log")
    error.set(title="Validation errors, %", xlabel="epoch", yscale="log")
    for axes in (loss, error):
        axes.grid(color=PALE, which="both", linewidth=0.5)
        axes.legend(frameon=False)
    _save(figure, path)


def confusion_matrix(probabilities: NDArray[np.floating], data: Dataset, path: Path) -> None:
    """What was read as what: counts of test digits, the mistakes coloured."""
    classes = len(data.labels)
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (data.test_labels, probabilities.argmax(axis=1)), 1)
    mistakes = counts - np.diag(np.diag(counts))
    side = 2 + 0.42 * min(classes, 40)
    figure, axes = plt.subplots(figsize=(side, side), layout="constrained")
    axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(1, mistakes.max()))
    if classes <= LABELLED_CLASSES:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                axes.text(
                    column,
                    row,
                    count,
                    ha="center",
                    va="center",
                    fontsize=8,
                    color=INK if row == column else "black",
                )
    axes.set(
        title=f"{mistakes.sum()} mistakes in {counts.sum()} test pictures",
        xlabel="read as",
        ylabel="is",
        xticks=range(classes),
        yticks=range(classes),
        xticklabels=data.labels,
        yticklabels=data.labels,
    )
    _save(figure, path)


def worst_mistakes(probabilities: NDArray[np.floating], data: Dataset, path: Path) -> None:
    """The test glyphs read wrong, the most confident mistakes first: what it is, what was read, how sure."""
    said = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(said != data.test_labels)
    wrong = wrong[np.argsort(-confidence[wrong])][: WORST[0] * WORST[1]]
    columns = WORST[1]
    rows = max(1, -(-len(wrong) // columns))
    figure, grid = plt.subplots(
        rows, columns, figsize=(columns * 1.05, rows * 1.35 + 0.4), squeeze=False, layout="constrained"
    )
    for axes in grid.flat:
        axes.axis("off")
    for axes, k in zip(grid.flat, wrong, strict=False):
        axes.imshow(data.test_images[k], cmap="gray_r", vmin=0, vmax=255, extent=(0, GLYPH_SIZE, 0, GLYPH_SIZE))
        axes.set_title(
            f"{data.labels[data.test_labels[k]]} read {data.labels[said[k]]}\n{confidence[k]:.0%}",
            fontsize=8,
            color=SECOND,
        )
    figure.suptitle("The most confident mistakes" if len(wrong) else "No mistakes", fontsize=11)
    _save(figure, path)


def reliability_diagrams(answers: dict[str, NDArray[np.floating]], labels: NDArray[np.integer], path: Path) -> None:
    """Accuracy against confidence, a panel an entry; the number of answers in each bin below it."""
    figure, grid = plt.subplots(
        2,
        len(answers),
        figsize=(4.2 * len(answers), 5),
        squeeze=False,
        layout="constrained",
        height_ratios=(3, 1),
        sharex=True,
    )
    edges = np.linspace(0, 1, BINS + 1)
    for (title, probabilities), top, bottom in zip(answers.items(), grid[0], grid[1], strict=True):
        _, accuracy, counts = reliability(probabilities, labels)
        error = expected_calibration_error(probabilities, labels)
        top.bar(edges[:-1], np.nan_to_num(accuracy), width=1 / BINS, align="edge", color=INK, edgecolor="white")
        top.plot((0, 1), (0, 1), "--", color=SECOND)
        top.set(title=f"{title}\nexpected calibration error {error:.2%}", ylabel="accuracy", ylim=(0, 1))
        bottom.bar(edges[:-1], counts, width=1 / BINS, align="edge", color=PALE, edgecolor="white")
        bottom.set(xlabel="confidence", ylabel="answers", yscale="log", xlim=(0, 1))
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)


# The card -----------------------------------------------------------------------------------------------------------


def write_card(out: Path) -> None:
    """Writes out/MODEL_CARD.md from what out/metrics.json records of training, conversion and measurements."""
    metrics = json.loads((out / "metrics.json").read_text())
    training = metrics["training"]
    results = training["results"]
    mnist = training["data"]["name"] == "mnist"
    parts = [
        "# Model card: Edge Digits",
        "Written by `make train` and `make convert` from `metrics.json`; every number below was measured by them or by"
        " the command named beside it.",
        "## What it is for",
        f"Naming one handwritten {'digit' if mnist else 'character'} in a 28×28 glyph, on devices without a GPU or a network."
        f" Classes: {', '.join(training['labels'])}. The glyph comes from `edge`'s own preprocessing, which the model was"
        " trained behind. Its confidences are calibrated; decide by them, and let a person look at what is unsure.",
        "Not for: identifying writers, signatures, letters"
        + (", or any decision about a person without a check by another." if mnist else " it was not trained on."),
        "## The network",
        f"A stack of 3×3 convolutions with batch normalisation (filters {', '.join(map(str, training['hyperparameters']['widths']))}),"
        f" {training['parameters']:,} parameters; `digits.keras` takes float32 from 0 to 1 and gives logits.",
        "## What it was trained on",
        _data_paragraph(training, mnist),
        "## How it does",
        _table(
            ("set", "pictures", "float32 model"),
            [
                ("validation", training["images"]["validation"], f"{results['validation_accuracy']:.2%}"),
                (
                    "validation, rewritten",
                    training["images"]["validation"],
                    f"{results['rendered_accuracy']:.2%}",
                ),
                ("test", training["images"]["test"], f"{results['test_accuracy']:.2%}"),
            ],
        ),
        "*Rewritten*: each validation digit redrawn by another hand and pen, photographed, and segmented by the device's"
        " preprocessing. The test split is looked at once, after training.",
        *_conversion(metrics.get("conversion")),
        *_elsewhere(metrics.get("elsewhere")),
        *_seeds(metrics.get("seeds")),
        "## The report",
        "![Learning curves](report/learning_curves.png)",
        "![Confusion matrix](report/confusion_matrix.png)",
        "![The most confident mistakes](report/worst_mistakes.png)",
        "![Reliability](report/reliability.png)",
        "## Where it fails",
        "- A glyph that two people would read differently: an open 4 and a 9, a 1 with a long upstroke and a 7, a 5 and a 6"
        " whose bow nearly closes. `report/worst_mistakes.png` shows the worst ones.\n"
        "- It has ten answers: a letter, a drawing or a smudge gets the digit it is most like. Low confidence is a hint,"
        " not a promise.\n"
        "- Two digits in one picture, or a digit lying on its side, are not what `classify` is for.\n"
        "- MNIST was written in the United States; a hooked 1 or a crossed 7 is rarer there than in Europe."
        if mnist
        else "Look at `report/worst_mistakes.png`. Whatever is not one of the classes gets the class it is most like.",
    ]
    (out / "MODEL_CARD.md").write_text("\n\n".join(parts) + "\n")


def _data_paragraph(training: dict[str, Any], mnist: bool) -> str:
    images, data = training["images"], training["data"]
    text = (
        f"{images['training']:,} pictures of {data['name'] if not mnist else 'MNIST'} (SHA-256 over its files {data['sha256'][:16]}…),"
        f" {images['validation']:,} more for every choice, seed {training['seed']}, {training['epochs']} epochs"
        f" (the best on validation was {training['best_epoch']})."
        " Each epoch draws every digit anew: affine, elastic, pen width, paper, light, blur, noise, low resolution, postal"
        " scans, ruling and specks, then `edge`'s own segmentation."
    )
    if training["hyperparameters"]["teacher_epochs"]:
        text += f" It learnt {training['hyperparameters']['teacher_weight']:.0%} from the answers of a larger network trained the same way."
    if mnist:
        text += (
            "\n\nMNIST is by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, derived from NIST's Special Databases"
            " 1 and 3, and is made available under the Creative Commons Attribution-Share Alike 3.0 licence. The model is"
            " released under this project's MIT licence; the data are not part of it."
        )
    return text


def _conversion(conversion: dict[str, Any] | None) -> list[str]:
    if not conversion:
        return []
    rows = []
    for variant in conversion["variants"].values():
        times = variant.get("microseconds_per_glyph") or {}
        times = times if isinstance(times, dict) else {"": times}
        rows.append(
            (
                f"`{variant['file']}`",
                f"{variant['bytes'] / 1000:.1f} KB",
                f"{variant['accuracy']:.2%}",
                f"{variant['agreement']:.2%}",
                ", ".join(f"{value:.0f} µs {runtime}".strip() for runtime, value in times.items()),
            )
        )
    return [
        "### Quantized, on the test split, by the device's runtime",
        _table(
            ("file", "size", "accuracy", "agrees with float32", "a glyph, on the machine that converted"),
            rows,
        ),
    ]


def _elsewhere(sets: dict[str, Any] | None) -> list[str]:
    if not sets:
        return []
    rows = [
        (
            name,
            s["pictures"],
            f"{s['accuracy']:.2%}",
            s["no_answer"],
            f"{s['ece']:.2%}",
            f"{s['wrong_when_sure']:.2%} of {s['sure']}",
        )
        for name, s in sets.items()
    ]
    return [
        "### Handwriting it never saw, int8, pictures through `edge` (`python -m train.measure`)",
        _table(
            ("set", "pictures", "accuracy", "no answer", "calibration error", "wrong at confidence ≥ 0.99"),
            rows,
        ),
    ]


def _seeds(seeds: dict[str, Any] | None) -> list[str]:
    if not seeds:
        return []
    rows = [(f"seed {seed}", *(f"{value:.2%}" for value in row.values())) for seed, row in seeds["runs"].items()]
    columns = [name.replace("_", " ") for name in next(iter(seeds["runs"].values()))]
    mean = [
        f"{float(np.mean([r[name] for r in seeds['runs'].values()])):.2%}"
        for name in next(iter(seeds["runs"].values()))
    ]
    return [
        f"### `{seeds['command']}`, float32, by seed",
        _table(("run", *columns), [*rows, ("mean", *mean)]),
    ]


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])
