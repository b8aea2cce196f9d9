"""`python -m train`: data in, `models/digits.keras` with its metrics, report and card out."""

import argparse
import json
import sys
from pathlib import Path

from edge.arguments import Parser, count, seed

TAUGHT_MODEL = Path("models/digits.keras")  # what a person's own digits are taught to
GO_ON_RATE = 1e-3  # peak of the learning rate of a training that goes on from a model, at most


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(prog="python -m train", description="Train the digit network.")
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        help="a folder with one folder a class, an .npz file, or a folder of IDX files (default: MNIST)",
    )
    parser.add_argument(
        "--alone", action="store_true", help="train on the folder alone, though MNIST would be added to so few digits"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--full", action="store_true", help="the long training that makes the released model")
    length.add_argument("--quick", action="store_true", help="the whole path in about a minute, for tests")
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="of weights, order and rendering (default: 0)"
    )
    parser.add_argument("--epochs", type=count, metavar="N", help="instead of the profile's own number")
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="MODEL",
        help="a digits.keras to learn from; --full trains a larger one for that first, otherwise",
    )
    parser.add_argument("--start", type=Path, metavar="MODEL", help="a digits.keras to go on from, for more epochs")
    parser.add_argument("--resume", action="store_true", help="go on with a training that was stopped")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder for the results (default: models)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 the data or files are at fault, 2 the command line, 130 interrupted."""
    options = arguments().parse_args(argv)
    from edge.errors import EdgeDigitsError

    try:
        return _train(options)
    except (EdgeDigitsError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train: interrupted before the first epoch was done; nothing was kept", file=sys.stderr)
        return 130


def _train(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from train.data import load

    data = load(options.data, seed=options.seed, alone=options.alone)
    taught = data.hand is not None and not options.full
    start = options.start or (TAUGHT_MODEL if taught else None)
    print(
        f"{data.name}: {len(data.labels)} classes, {len(data.train_images)} training, "
        f"{len(data.validation_images)} validation and {len(data.test_images)} test pictures",
        flush=True,
    )
    if data.hand is not None:
        print(
            f"{len(data.hand.images) + len(data.hand.held_images)} digits of {data.hand.name} are taught "
            + (f"to {start}" if taught else "")
            + " beside MNIST, so that it forgets nothing (--alone trains on them alone)",
            flush=True,
        )
    from train.quiet import tensorflow

    tensorflow()
    from train.card import write_card
    from train.report import write_report
    from train.train import PROFILES, train

    name = "full" if options.full else "quick" if options.quick else "standard"
    if taught:
        name = "teach-quick" if options.quick else "teach"
    profile = PROFILES[name]
    if options.epochs is not None:
        profile = replace(profile, epochs=options.epochs)
    if options.start is not None:
        profile = replace(profile, learning_rate=min(profile.learning_rate, GO_ON_RATE))
    model, record = train(
        data, profile, options.out, seed=options.seed, resume=options.resume, start=start, teacher=options.teacher
    )
    record["data"]["source"] = str(options.data) if options.data else "mnist"
    record["data"]["alone"] = options.alone
    metrics = options.out / "metrics.json"
    metrics.write_text(json.dumps({"training": record}, indent=2) + "\n")
    write_report(model, data, record, options.out)
    write_card(options.out)
    results = record["results"]
    print(
        f"validation {results['validation_accuracy']:.2%}, test {results['test_accuracy']:.2%} "
        f"after {record['epochs']} epochs in {record['seconds'] / 60:.1f} minutes; "
        f"{options.out}/digits.keras, metrics.json, report/ and MODEL_CARD.md written"
    )
    if "hand" in record:
        hand = record["hand"]
        before = "" if hand["accuracy_before"] is None else f", {hand['accuracy_before']:.1%} before"
        pictures = f"the {hand['held_back']} pictures kept back" if hand["held_back"] else "its pictures"
        print(f"{data.hand.name}: {hand['accuracy']:.1%} of {pictures} are read right{before}")
    if record["interrupted"]:
        print(f"interrupted: the best model so far, of epoch {record['best_epoch']}, is kept; go on with --resume")
        return 130
    print("next: make convert")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
