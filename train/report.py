"""A report people look at: learning curves, confusion matrix, worst mistakes, reliability."""

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
    """Writes out/report/*.png from the test split."""
    folder = out / "report"
    folder.mkdir(parents=True, exist_ok=True)
    logits = logits_of(model, data.test_images)
    probabilities = softmax(logits, record["results"]["temperature"])
    learning_curves(record["history"], folder / "learning_curves.png")
    read_as = tuple(record["labels"])
    confusion_matrix(probabilities, data, read_as, folder / "confusion_matrix.png")
    worst_mistakes(probabilities, data, read_as, folder / "worst_mistakes.png")
    reliability_diagrams(
        {"as trained": softmax(logits), "with the fitted temperature": probabilities},
        data.test_labels,
        folder / "reliability.png",
    )


def learning_curves(history: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Loss, and error on validation as it is and rewritten, epoch by epoch, a line style a network."""
    figure, (loss, error) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name, epochs in history.items():
        at = np.arange(1, len(epochs) + 1)
        style = "-" if name == "digits" else ":"
        if "loss" in epochs[0]:
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
    save(figure, path)


def confusion_matrix(probabilities: NDArray[np.floating], data: Dataset, read_as: tuple[str, ...], path: Path) -> None:
    """What was read as what: counts of test digits, the mistakes coloured; read_as: the label of each output."""
    classes = len(read_as)
    counts = np.zeros((len(data.labels), classes), int)
    np.add.at(counts, (data.test_labels, probabilities.argmax(axis=1)), 1)
    mistakes = counts.copy()
    np.fill_diagonal(mistakes, 0)
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
        yticks=range(len(data.labels)),
        xticklabels=read_as,
        yticklabels=data.labels,
    )
    save(figure, path)


def worst_mistakes(probabilities: NDArray[np.floating], data: Dataset, read_as: tuple[str, ...], path: Path) -> None:
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
            f"{data.labels[data.test_labels[k]]} read {read_as[said[k]]}\n{confidence[k]:.0%}",
            fontsize=8,
            color=SECOND,
        )
    figure.suptitle("The most confident mistakes" if len(wrong) else "No mistakes", fontsize=11)
    save(figure, path)


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
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Writes a figure as PNG, the same bytes for the same figure, and closes it."""
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
