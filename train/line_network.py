"""`python -m train.line_network`: train the network that reads a whole line of writing where glyphs are in doubt.

A detector along one axis: a stack of convolutions looks at a line image, and for every column says which digit has its
middle there, if any, and how far that digit's sides are. After CenterNet (Zhou, Wang, Krähenbühl, "Objects as Points",
2019), with a softmax over the digits and the blank. It learns from lines drawn anew for every epoch
(`train/line_images.py`), digits of MNIST's training half.
"""

import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.arguments import Parser, count, seed
from edge.errors import EdgeDigitsError
from edge.line_network import COLUMN, DIGITS, LINE_HEIGHT, Found, decoded
from train.data import DataError, Dataset, load
from train.line_images import BLANK, Lines, draw_lines
from train.quiet import tensorflow
from train.render import settle_worker
from train.strokes import drawn_digits

MODEL_NAME = "lines.keras"
METRICS_NAME = "lines.json"
LATEST_NAME = "lines-latest.keras"  # in checkpoint/, with what a resumed run needs

WIDTHS = (12, 24, 40, 40, 64, 96, 80, 80)  # filters a layer: 153k parameters
CONTEXT = 5  # columns: width of the last two convolutions
DROPOUT = 0.2
BATCH_MOMENTUM = 0.95
BATCH = 48  # lines
LEARNING_RATE = 2e-3  # peak of a cosine after a warm-up
START_LEARNING_RATE = 8e-4  # the same for a network that can read already
WARM_UP = 0.02  # of all steps
WEIGHT_DECAY = 1e-2
BOX_WEIGHT = 2.0  # of the boxes' loss beside the classes'
BOX_DELTA = 0.1  # digit heights: a larger error counts linearly (Huber)
DRAWN_PART = 0.06  # of the digits are drawn from strokes, as for the glyph network
VALIDATION_SEED = 0x11E5
CHUNK = 500  # lines a task of a worker


@dataclass(frozen=True, slots=True)
class Profile:
    """How long to train."""

    name: str
    epochs: int
    lines: int
    """Lines an epoch, drawn anew for each."""
    validation: int
    """Lines of validation digits, the same after every epoch."""


PROFILES = {"full": Profile("full", 26, 12000, 1500), "quick": Profile("quick", 2, 500, 100)}


def line_network() -> Any:
    """Line images float32 (n, LINE_HEIGHT, width, 1), 0 to 1, to scores (n, 1, width / COLUMN, 11), the last one the
    blank's, and boxes (n, 1, width / COLUMN, 4)."""
    import keras
    from keras import layers

    def convolution(x: Any, filters: int, size: int | tuple[int, int], padding: str = "same") -> Any:
        x = layers.Conv2D(filters, size, padding=padding, use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization(momentum=BATCH_MOMENTUM)(x))

    image = layers.Input((LINE_HEIGHT, None, 1), name="line")
    x = layers.MaxPooling2D((2, COLUMN))(convolution(image, WIDTHS[0], 3))
    x = layers.MaxPooling2D((2, 1))(convolution(x, WIDTHS[1], 3))
    x = layers.MaxPooling2D((2, 1))(convolution(convolution(x, WIDTHS[2], 3), WIDTHS[3], 3))
    x = convolution(x, WIDTHS[4], 3)
    x = convolution(x, WIDTHS[5], (LINE_HEIGHT // 8, 1), "valid")  # one row from here on
    x = convolution(convolution(x, WIDTHS[6], (1, CONTEXT)), WIDTHS[7], (1, CONTEXT))
    x = layers.Dropout(DROPOUT)(x)
    scores = layers.Conv2D(DIGITS + 1, 1, name="scores")(x)
    boxes = layers.Conv2D(4, 1, name="boxes")(x)
    return keras.Model(image, [scores, boxes], name="lines")


def as_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Line images uint8 (n, h, w) as the network takes them."""
    return (images.astype(np.float32) / 255)[..., None]


_digits: tuple[NDArray[np.uint8], NDArray[np.int64]]


def _start_worker(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    global _digits
    _digits = images, labels
    settle_worker()


def _draw_chunk(seed: list[int]) -> Lines:
    return draw_lines(*_digits, CHUNK, seed, "train")


class _Rounds:
    """Lines for each epoch, drawn by worker processes one epoch ahead."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], lines: int, seed: int) -> None:
        self.lines, self.seed = lines, seed
        context = multiprocessing.get_context("spawn")  # a fork would copy TensorFlow's threads in an unknown state
        workers = max(1, (os.cpu_count() or 2) - 1)
        self.pool = ProcessPoolExecutor(workers, context, _start_worker, (images, labels))

    def __enter__(self) -> "_Rounds":
        return self

    def __exit__(self, *exception: object) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)

    def between(self, first: int, end: int) -> Iterator[Lines]:
        ahead = self._submit(first)
        for epoch in range(first, end):
            now, ahead = ahead, self._submit(epoch + 1) if epoch + 1 < end else []
            parts = [task.result() for task in now]
            yield Lines(*(np.concatenate([getattr(p, f) for p in parts]) for f in Lines.__slots__))

    def _submit(self, epoch: int) -> list[Future[Lines]]:
        chunks = range(-(-self.lines // CHUNK))
        return [self.pool.submit(_draw_chunk, [self.seed, 7, epoch, chunk]) for chunk in chunks]


def train(
    profile: Profile, out: Path, *, seed: int = 0, resume: bool = False, start: Path | None = None
) -> dict[str, Any]:
    """Trains, keeps the network in `out/lines.keras` after every epoch, and returns what lines.json records.

    resume: goes on after the last epoch of a stopped run of the same profile and seed. start: a network of this kind to
    go on from, instead of from nothing. Raises train.data.DataError.
    """
    if start is not None:
        _check_exists(start)
    tensorflow()
    import keras

    from train.model import save

    keras.utils.set_random_seed(seed)
    data = load()
    drawn, values = drawn_digits(round(DRAWN_PART * len(data.train_images)), [seed, 8])
    images = np.concatenate([data.train_images, drawn])
    labels = np.concatenate([data.train_labels.astype(np.int64), values.astype(np.int64)])
    validation = validation_lines(data, profile.validation)
    path, latest = out / MODEL_NAME, out / "checkpoint" / LATEST_NAME
    latest.parent.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"profile": asdict(profile), "seed": seed, "data": data.checksum, "history": []}
    first = None if start is None else _network_in(start)
    if start is not None:
        record["start"] = hashlib.sha256(start.read_bytes()).hexdigest()
    if resume and latest.is_file() and (out / METRICS_NAME).is_file():
        record["history"] = json.loads((out / METRICS_NAME).read_text())["history"]
        model = keras.models.load_model(latest)
    elif first is not None:
        model = _compiled(first, profile, START_LEARNING_RATE)
    else:
        model = _compiled(line_network(), profile, LEARNING_RATE)
    record["parameters"] = int(model.count_params())
    history: list[dict[str, float]] = record["history"]
    with _Rounds(images, labels, profile.lines, seed) as rounds:
        for lines in rounds.between(len(history), profile.epochs):
            began = time.monotonic()
            loss = _fit(model, lines)
            measured = measure(decode_all(model, validation.images), validation)
            history.append({"loss": round(loss, 5), **measured, "seconds": round(time.monotonic() - began, 1)})
            save(model, latest)
            plain = line_network()  # without the optimizer, which is twice as large
            plain.set_weights(model.get_weights())
            save(plain, path)
            (out / METRICS_NAME).write_text(json.dumps(record, indent=2) + "\n")
            print(
                f"lines {len(history)}/{profile.epochs}  loss {history[-1]['loss']:.4f}"
                f"  lines exact {measured['lines_exact']:.2%}  digits found {measured['recall']:.2%}"
                f"  right {measured['precision']:.2%}  {history[-1]['seconds']:.0f} s",
                flush=True,
            )
    return record


def validation_lines(data: Dataset, count: int) -> Lines:
    """Lines of MNIST's validation digits, with words in fonts that are not trained on."""
    return draw_lines(data.validation_images, data.validation_labels, count, [VALIDATION_SEED], "validation")


def average(paths: Sequence[Path], out: Path) -> None:
    """Keeps in `out/lines.keras` the network whose weights are the mean of those of several, which went on from one
    another: it often reads what was never trained on better than any of them. Raises train.data.DataError.

    After Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018.
    """
    for path in paths:
        _check_exists(path)
    tensorflow()
    from train.model import save

    model = line_network()
    weights = [_network_in(path).get_weights() for path in paths]
    model.set_weights([np.mean(same, axis=0) for same in zip(*weights, strict=True)])
    out.mkdir(parents=True, exist_ok=True)
    save(model, out / MODEL_NAME)


def _check_exists(path: Path) -> None:
    """Raises DataError; called before the seconds that TensorFlow takes to load."""
    if not path.is_file():
        raise DataError(f"{path}: no such network; make one with 'python -m train.line_network'")


def _network_in(path: Path) -> Any:
    """The network in a file that exists. Raises DataError where it is none of this kind."""
    import keras

    model = line_network()
    try:
        model.set_weights(keras.models.load_model(path, compile=False).get_weights())
    except ValueError as error:
        raise DataError(f"{path}: not a network that reads lines, made by 'python -m train.line_network'") from error
    return model


def _compiled(model: Any, profile: Profile, learning_rate: float) -> Any:
    import keras

    steps = profile.epochs * -(-profile.lines // BATCH)
    warm_up = max(1, round(WARM_UP * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate / 20, decay_steps=steps - warm_up, warmup_target=learning_rate, warmup_steps=warm_up
    )
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY),
        [keras.losses.CategoricalCrossentropy(from_logits=True), keras.losses.Huber(delta=BOX_DELTA)],
        loss_weights=[1.0, BOX_WEIGHT],
    )
    return model


def _fit(model: Any, lines: Lines) -> float:
    classes = np.eye(DIGITS + 1, dtype=np.float32)[lines.classes][:, None]
    named = (lines.classes != BLANK).astype(np.float32) * lines.weights
    fitted = model.fit(
        as_input(lines.images),
        [classes, lines.boxes[:, None]],
        sample_weight=[lines.weights[:, None], named[:, None]],
        batch_size=BATCH,
        verbose=0,
    )
    return float(fitted.history["loss"][0])


def decode_all(model: Any, images: NDArray[np.uint8]) -> list[list[Found]]:
    """What the network finds in each line image."""
    scores, boxes = model.predict(as_input(images), batch_size=100, verbose=0)
    return [decoded(s[0], b[0]) for s, b in zip(scores, boxes, strict=True)]


def measure(found: list[list[Found]], lines: Lines) -> dict[str, float]:
    """Lines read exactly, digits found with their value, and answers that are one; of 1.

    Digits that an image's end cuts off count neither way.
    """
    exact = right = answered = there = 0
    for answers, classes, weights in zip(found, lines.classes, lines.weights, strict=True):
        truth = []
        for column in np.flatnonzero((classes != BLANK) & (weights > 0)):
            if not truth or column > truth[-1][1] + 1 or classes[column] != truth[-1][2]:
                truth.append([column, column, classes[column]])
            truth[-1][1] = column
        # Two digits of one value in columns side by side are told apart by nothing here, and rare.
        ends = np.flatnonzero(weights > 0)
        inside = [a for a in answers if ends.size and ends[0] * COLUMN <= a.middle <= (ends[-1] + 1) * COLUMN]
        counted = [a for a in inside if weights[min(int(a.middle / COLUMN), len(weights) - 1)] > 0 or any(
            abs(a.middle / COLUMN - (t[0] + t[1] + 1) / 2) <= 2 for t in truth)]  # fmt: skip
        hits = 0
        for first, last, value in truth:
            middle = (first + last + 1) / 2 * COLUMN
            hits += any(a.value == value and abs(a.middle - middle) <= 2 * COLUMN for a in counted)
        exact += hits == len(truth) == len(counted)
        right, answered, there = right + hits, answered + len(counted), there + len(truth)
    return {
        "lines_exact": round(exact / len(found), 5),
        "recall": round(right / max(there, 1), 5),
        "precision": round(right / max(answered, 1), 5),
    }


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 the data are at fault, 130 interrupted (the last epoch's network is kept)."""
    parser = Parser(prog="python -m train.line_network", description="Trains the network that reads whole lines.")
    parser.add_argument("--quick", action="store_true", help="the whole path in less than a minute, to try it")
    parser.add_argument("--epochs", type=count, help=f"of {PROFILES['full'].lines} lines ({PROFILES['full'].epochs})")
    parser.add_argument("--seed", type=seed, default=0, help="of weights and lines (0)")
    parser.add_argument("--resume", action="store_true", help="go on after the last epoch of a stopped run")
    parser.add_argument("--start", type=Path, metavar="NETWORK", help="a lines.keras to go on from, with other lines")
    parser.add_argument(
        "--average", type=Path, nargs="+", metavar="NETWORK", help="no training: the mean of such networks' weights"
    )
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder of lines.keras (models)")
    options = parser.parse_args(argv)
    profile = PROFILES["quick" if options.quick else "full"]
    if options.epochs:
        profile = replace(profile, epochs=options.epochs)
    try:
        if options.average:
            average(options.average, options.out)
            return 0
        train(profile, options.out, seed=options.seed, resume=options.resume, start=options.start)
    except EdgeDigitsError as error:
        print(f"train.line_network: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
