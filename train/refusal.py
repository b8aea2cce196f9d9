"""`python -m train.refusal`: what the threshold refuses and another would: false answers against missed digits."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.arguments import Parser
from edge.classifier import Classifier
from edge.errors import EdgeDigitsError
from train.data import load
from train.letters import digit_confidence, letters_benchmark
from train.negatives import is_digit_like, make_negatives

NEGATIVES = 3000  # of fonts, digits and photographs that the training did not see
SEED = 0x4E0  # of the negatives and of their rendering
LEAST_SHOWN = 1e-4  # of the digits: the plot's left end


def measure_refusal(classifier: Classifier) -> dict[str, Any]:
    """The letters benchmark, each kind of negative, and MNIST's test split at the model's threshold. Rates are of 1.

    Raises train.data.DataError.
    """
    from train.augment import render

    data = load()
    letters = letters_benchmark(classifier, data.test_images)
    threshold = classifier.info.rejection_threshold
    probabilities = classifier.classify(data.test_images)
    if classifier.none_index is not None:
        probabilities[:, classifier.none_index] = 0
    answered = probabilities.max(axis=1) >= threshold
    right = probabilities.argmax(axis=1) == data.test_labels
    validation = digit_confidence(classifier, data.validation_images)

    # Digits of the test split are merged and cut here, and the letters are those of the validation fonts.
    made = make_negatives(data.test_images, data.test_labels, 1, NEGATIVES, SEED)
    glyphs = render(made.validation, SEED)
    clear = np.array([not is_digit_like(glyph) for glyph in glyphs])
    kinds, confidence = np.asarray(made.validation_kinds)[clear], digit_confidence(classifier, glyphs[clear])
    return {
        "threshold": threshold,
        "validation_refused": float(np.mean(validation < threshold)),
        "test_refused": float(np.mean(~answered)),
        "test_right": float(np.mean(answered & right)),
        "letters": asdict(letters),
        "negatives": {
            str(kind): {"glyphs": int((kinds == kind).sum()), "answered": _part(confidence[kinds == kind] >= threshold)}
            for kind in np.unique(kinds)
        },
        "negatives_answered": _part(confidence >= threshold),
        "curve": _curve(digit_confidence(classifier, data.test_images), confidence),
    }


def _part(which: NDArray[np.bool_]) -> float:
    return round(float(np.mean(which)), 5)


def _curve(digits: NDArray[np.float32], others: NDArray[np.float32]) -> list[list[float]]:
    """(threshold, part of the digits refused, part of the others answered), to a tenth of the digits refused."""
    order = np.sort(digits)
    places = np.unique(np.geomspace(1, len(order) / 10, 25).astype(int))
    return [
        [round(float(order[k]), 5), _part(digits < order[k]), _part(others >= order[k])] for k in (0, *places.tolist())
    ]


def write_plot(found: dict[str, Any], path: Path) -> None:
    """False answers against missed digits, the shipped threshold marked."""
    from train.report import INK, PALE, SECOND, plt, save

    figure, axes = plt.subplots(figsize=(6, 4.2), layout="constrained")
    letters = found["letters"]
    for name, curve, colour in (
        ("letters of fonts never trained on", letters["curve"], INK),
        ("other things, rendered", found["curve"], SECOND),
    ):
        missed = [max(LEAST_SHOWN, row[1]) * 100 for row in curve]
        axes.plot(missed, [row[2] * 100 for row in curve], "o-", markersize=3, color=colour, label=name)
    shipped = max(LEAST_SHOWN, found["test_refused"]) * 100
    axes.axvline(shipped, color=PALE, linewidth=4, zorder=0, label="the threshold")
    axes.set(
        xscale="log",
        xlabel="MNIST test digits refused, %",
        ylabel="answered as a digit, %",
        title="False answers against missed digits",
    )
    axes.set_ylim(bottom=0)
    axes.grid(color=PALE, linewidth=0.5)
    axes.legend(frameon=False)
    save(figure, path)


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 the data or the model are at fault, 2 the command line."""
    parser = Parser(prog="python -m train.refusal", description=__doc__)
    parser.add_argument("--model", type=Path, help="a .tflite file (default: the one in models/)")
    parser.add_argument("--runtime", choices=("litert", "tflite"))
    parser.add_argument("--record", action="store_true", help="keep the result in metrics.json, report and model card")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder of metrics.json (default: models)")
    options = parser.parse_args(argv)
    try:
        found = measure_refusal(Classifier(options.model, runtime=options.runtime))
        if options.record:
            _record(options.out, found)
    except (EdgeDigitsError, OSError) as error:
        print(f"train.refusal: {error}", file=sys.stderr)
        return 1
    letters = found["letters"]
    print(
        f"threshold {found['threshold']:g}: MNIST test {found['test_right']:.2%} right, {found['test_refused']:.2%} "
        f"refused, validation {found['validation_refused']:.2%} refused\n"
        f"{letters['letters']} letters of {letters['fonts']} fonts never trained on: {letters['answered']:.1%} read "
        f"as digits, {letters['answered_at_one_percent']:.1%} where 1 % of the digits are refused\n"
        + "".join(
            f"{kind}: {row['answered']:.1%} of {row['glyphs']} answered as digits\n"
            for kind, row in found["negatives"].items()
        ),
        end="",
    )
    return 0


def _record(out: Path, found: dict[str, Any]) -> None:
    from train.card import write_card
    from train.quiet import tensorflow

    tensorflow()
    path = out / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["refusal"] = found
    path.write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
    (out / "report").mkdir(exist_ok=True)
    write_plot(found, out / "report" / "refusal.png")
    write_card(out)


if __name__ == "__main__":
    raise SystemExit(main())
