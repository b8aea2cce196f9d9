"""Train the network: rounds of freshly rendered digits, the best on validation kept, a teacher first for `--full`.

Beside the ten digits it learns a last class, `none`, from what is no digit (`train/negatives.py`).
"""

import contextlib
import hashlib
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from train.augment import render
from train.calibration import expected_calibration_error, fit_temperature, negative_log_likelihood, softmax
from train.data import NONE, DataError, Dataset
from train.model import STUDENT_WIDTHS, TEACHER_WIDTHS, digit_network, save
from train.negatives import Negatives, is_digit_like, make_negatives
from train.render import Renderer
from train.strokes import FORMS, drawn_digits

Glyphs = NDArray[np.uint8]

DIGITS = tuple(FORMS)
PREDICT_BATCH = 500  # glyphs
RENDERED_SEED = 0x5EED  # validation digits are rendered once, the same for every run
RENDERED_LIGHT_PART = 0.0  # and none of them in MNIST's own frame
NEGATIVE_VALIDATION = 3000  # negatives, from fonts and photographs that are not trained on
NEGATIVE_WEIGHT = 0.1  # of their likelihood in the score that chooses the best epoch, beside the digits'
HAND_PART = 0.3  # of the images taken from MNIST: so many times a person's own digits are shown each round, at least
HAND_REPEATS = 60  # but no picture of theirs more often than this
HAND_WEIGHT = 0.3  # of the likelihood of their digits in the score that chooses the best epoch
OWN_NEGATIVES_HELD = 0.1  # of a folder's own pictures that are none of its classes, for validation
BAR_WIDTH = 30  # characters


@dataclass(frozen=True, slots=True)
class Profile:
    """How long and how hard to train."""

    name: str
    epochs: int
    teacher_epochs: int = 0
    """Epochs of the larger network whose answers the small one learns from; 0 for none."""
    limit: int | None = None
    """Training images used, at most."""
    least: int = 6000
    """Samples an epoch, at least: fewer images are rendered several times."""
    passes: int = 2
    """Epochs that share one rendering of the images: rendering anew for each would take as long as learning."""
    batch_size: int = 128
    learning_rate: float = 2e-3
    """Peak of a cosine that starts with a warm-up and ends at 0."""
    warmup_epochs: float = 0.5
    weight_decay: float = 1e-2
    drawn_part: float = 0.06
    """Digits drawn from strokes, for each image of the ten digits."""
    none_epochs: int = 0
    """Epochs that teach `none` to a network that knows the classes already, and goes on learning its own answers
    meanwhile; 0 learns all together from the start, which takes longer to name digits as well."""
    none_learning_rate: float = 1e-3
    """Peak of their learning rate."""
    negative_part: float = 0.33
    """Glyphs that are no digit, for each image of the ten digits."""
    fetched_negatives: bool = True
    """Whether the handwriting fonts and the photographs are fetched for them."""
    teacher_weight: float = 0.7
    """Share of the teacher's answer in the target; the rest is the label."""


PROFILES = {
    "standard": Profile("standard", epochs=14, none_epochs=4),
    "full": Profile("full", epochs=22, teacher_epochs=6, passes=3),
    "teach": Profile("teach", epochs=5, limit=12000, passes=1, learning_rate=6e-4, warmup_epochs=0.2),
    "teach-quick": Profile(
        "teach-quick", epochs=3, limit=4000, passes=1, learning_rate=6e-4, warmup_epochs=0.2, fetched_negatives=False
    ),
    "quick": Profile(
        "quick", epochs=3, none_epochs=2, limit=6000, least=2000, learning_rate=3e-3, fetched_negatives=False
    ),
}


@dataclass(slots=True)
class Run:
    """One network in training, with what a resumed run needs to go on."""

    name: str
    epoch: int
    """Epochs done."""
    best_score: float
    best_epoch: int
    history: list[dict[str, float]]
    finished: bool = False


class ProgressBar(keras.callbacks.Callback):
    """A bar within the epoch on a terminal, gone when the epoch's line comes."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title
        self.on_terminal = sys.stderr.isatty()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Redraws the bar every few batches."""
        if self.on_terminal and batch % 10 == 0:
            steps = self.params["steps"]
            filled = BAR_WIDTH * (batch + 1) // steps
            bar = "█" * filled + "░" * (BAR_WIDTH - filled)
            loss = f"  loss {logs['loss']:.4f}" if logs else ""
            print(f"\r{self.title} {bar} {batch + 1}/{steps}{loss}", end="", file=sys.stderr, flush=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Clears the line."""
        if self.on_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def as_input(glyphs: Glyphs) -> NDArray[np.float32]:
    """Glyphs uint8 (n, 28, 28) as the network takes them: float32 (n, 28, 28, 1), 0 to 1."""
    return (glyphs.astype(np.float32) / 255)[..., None]


def logits_of(model: keras.Model, glyphs: Glyphs) -> NDArray[np.float32]:
    """Logits float32 (n, classes) of glyphs uint8 (n, 28, 28)."""
    return np.asarray(model.predict(as_input(glyphs), batch_size=PREDICT_BATCH, verbose=0))


def train(
    data: Dataset,
    profile: Profile,
    out: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    workers: int | None = None,
    start: Path | None = None,
    teacher: Path | None = None,
) -> tuple[keras.Model, dict[str, Any]]:
    """Trains on `data`, keeps the best model in `out/digits.keras`, and returns it with what metrics.json records.

    seed: of weights, order and rendering. resume: goes on where a stopped run with the same data and profile was.
    workers: processes that render; all cores but for one on larger machines, all on small ones. start: a model of ours
    to go on from, instead of from nothing. teacher: a model of ours to learn from, `none` as well from the start,
    instead of a larger one that is trained first. Ctrl-C ends the training with the best model so far; the record then
    says `"interrupted": true`. Raises DataError.
    """
    out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng([seed, 1])
    order = rng.permutation(len(data.train_images))[: profile.limit]
    images, labels = data.train_images[order], data.train_labels[order]
    count = len(images)
    added = 0
    outputs, negatives = data.labels, _own_negatives(data, seed)
    if data.labels == DIGITS:
        added = round(profile.drawn_part * count)
        drawn, values = drawn_digits(added, [seed, 2])
        negatives = make_negatives(
            images,
            labels,
            round(profile.negative_part * count),
            min(NEGATIVE_VALIDATION, count),
            seed,
            fetched=profile.fetched_negatives,
            own=data.none_images,
        )
        images, labels = np.concatenate([images, drawn]), np.concatenate([labels, values])
    if data.hand is not None:
        repeats = _hand_repeats(len(data.hand.images), count)
        images = np.concatenate([images, np.tile(data.hand.images, (repeats, 1, 1))])
        labels = np.concatenate([labels, np.tile(data.hand.labels, repeats)])
    validation = _Validation.of(data, negatives)
    classes = len(data.labels)
    staged = negatives is not None and profile.none_epochs > 0 and start is None and teacher is None
    named = _mixed(images, labels, classes, profile.least, rng) if staged else None
    if negatives is not None:
        outputs = (*data.labels, NONE)
        images = np.concatenate([images, negatives.train])
        labels = np.concatenate([labels, np.full(len(negatives.train), classes)])
    images, one_hot = _mixed(images, labels, len(outputs), profile.least, rng)
    first = None if start is None else _started(start, len(outputs))
    known = None if teacher is None else _started(teacher, len(outputs))
    widths = None if known is None else list(widths_of(known))
    state = {"checksum": data.checksum, "profile": asdict(profile), "seed": seed}
    for name, path in (("start", start), ("teacher", teacher)):
        if path is not None:
            state[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    folder = out / "checkpoint"
    if not resume or not folder.is_dir():
        _clear(folder)
        (folder / "state.json").write_text(json.dumps(state))
    elif json.loads((folder / "state.json").read_text()) != json.loads(json.dumps(state)):
        raise DataError(f"{folder}: a run with other data, seed or settings; resume with the same ones, or start anew")
    before = None if first is None or data.hand is None else logits_of(first, validation.hand)
    interrupted = False
    runs: dict[str, Run] = {}
    workers = workers or max(2, (os.cpu_count() or 2) - 1)
    try:
        if named is not None:
            with Renderer(named[0], seed, workers) as renderer:
                fit = _Fit(validation.without_none(), *named, profile, renderer, folder)
                if profile.teacher_epochs:
                    known = fit.run(runs, "teacher", TEACHER_WIDTHS, profile.teacher_epochs, None)
                known = fit.run(runs, "classes", STUDENT_WIDTHS, profile.epochs, known)
            first = with_none(known)
            last = replace(profile, epochs=profile.none_epochs, learning_rate=profile.none_learning_rate)
        else:
            last = profile
        with Renderer(images, seed + 1 if staged else seed, workers) as renderer:
            fit = _Fit(validation, images, one_hot, last, renderer, folder)
            if last.teacher_epochs and known is None:
                known = fit.run(runs, "teacher", TEACHER_WIDTHS, profile.teacher_epochs, None)
            fit.run(runs, "digits", STUDENT_WIDTHS, last.epochs, known, first)
    except KeyboardInterrupt:
        interrupted = True
    model = _best(folder, len(outputs))
    save(model, out / "digits.keras")
    record = {
        "data": {"name": data.name, "checksums": data.checksums, "sha256": data.checksum},
        "labels": list(outputs),
        "none": None if negatives is None else NONE,
        "seed": seed,
        "start": state.get("start"),
        "teacher": state.get("teacher"),
        "profile": profile.name,
        "epochs": sum(runs[name].epoch for name in ("classes", "digits") if name in runs),
        "best_epoch": runs["digits" if "digits" in runs else "classes"].best_epoch,
        "interrupted": interrupted,
        "hyperparameters": {
            **asdict(profile),
            "widths": list(widths_of(model)),
            "teacher_widths": list(TEACHER_WIDTHS) if "teacher" in runs else widths,
        },
        "parameters": int(model.count_params()),
        "images": {
            "training": count,
            "drawn": added,
            "negatives": {} if negatives is None else negatives.kinds,
            "validation": len(data.validation_images),
            "test": len(data.test_images),
        },
        "negative_sources": [] if negatives is None else list(negatives.sources),
        "versions": versions(),
        "input_range": [0, 1],
        "output": "logits",
        "seconds": round(sum(epoch["seconds"] for run in runs.values() for epoch in run.history)),
        "history": {name: run.history for name, run in runs.items()},
        "results": results(model, data, validation),
    }
    if data.hand is not None:
        record["hand"] = {
            "pictures": len(data.hand.images) + len(data.hand.held_images),
            "held_back": len(data.hand.held_images),
            "accuracy_before": None if before is None else _accuracy(before, validation.hand_labels),
            "accuracy": _accuracy(logits_of(model, validation.hand), validation.hand_labels),
        }
    return model, record


def _best(folder: Path, outputs: int) -> keras.Model:
    """The best network so far. Raises KeyboardInterrupt where an interruption came before there was one."""
    for name in ("digits", "classes"):
        path = folder / f"{name}-best.keras"
        if path.is_file():
            model = keras.models.load_model(path, compile=False)
            return model if model.output_shape[-1] == outputs else with_none(model)
    raise KeyboardInterrupt


def _mixed(
    images: Glyphs, labels: NDArray[np.int64], classes: int, least: int, rng: np.random.Generator
) -> tuple[Glyphs, NDArray[np.float32]]:
    """Images in random order, as often as it takes to be `least` of them, and their classes, one-hot."""
    repeats = -(-least // len(images))
    order = np.tile(rng.permutation(len(images)), repeats)
    return images[order], np.eye(classes, dtype=np.float32)[labels[order]]


def with_none(model: keras.Model) -> keras.Model:
    """The network with one output more, `none`, which begins with no opinion."""
    wider = digit_network(model.output_shape[-1] + 1, widths_of(model))
    for layer, known in zip(wider.layers[:-1], model.layers[:-1], strict=True):
        layer.set_weights(known.get_weights())
    weights, bias = model.layers[-1].get_weights()
    wider.layers[-1].set_weights([np.pad(weights, ((0, 0), (0, 1))), np.pad(bias, (0, 1))])
    return wider


def widths_of(model: keras.Model) -> tuple[int, ...]:
    """Filters of each layer."""
    return tuple(layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D))


def _hand_repeats(own: int, count: int) -> int:
    return max(1, min(HAND_REPEATS, round(HAND_PART * count / max(own, 1))))


def _own_negatives(data: Dataset, seed: int) -> Negatives | None:
    """What the data's own folder holds that is none of their classes, if there is any."""
    if data.none_images is None:
        return None
    order = np.random.default_rng([seed, 6]).permutation(len(data.none_images))
    held = max(1, round(OWN_NEGATIVES_HELD * len(order)))
    train, validation = data.none_images[order[held:]], data.none_images[order[:held]]
    return Negatives(train, validation, (NONE,) * held, {NONE: len(train)}, ())


def _started(path: Path, outputs: int) -> keras.Model:
    """A model of ours to go on or to learn from. Raises DataError."""
    if not path.is_file():
        raise DataError(f"{path}: no such model; make one with 'make train'")
    model = keras.models.load_model(path, compile=False)
    if model.output_shape != (None, outputs):
        raise DataError(f"{path}: has {model.output_shape[-1]} classes, here are {outputs}")
    return model


def results(model: keras.Model, data: Dataset, validation: "_Validation") -> dict[str, Any]:
    """Accuracies and calibration on validation, on rendered validation and, once, on test; and what is refused."""
    clean, drawn = logits_of(model, validation.digits), logits_of(model, validation.rendered)
    test = logits_of(model, data.test_images)
    calibration = np.concatenate([clean, drawn]), np.tile(validation.labels, 2)
    temperature = fit_temperature(*calibration)
    measured = {
        "validation_accuracy": _accuracy(clean, validation.labels),
        "rendered_accuracy": _accuracy(drawn, validation.labels),
        "test_accuracy": _accuracy(test, data.test_labels),
        "temperature": temperature,
        "test_ece": expected_calibration_error(softmax(test, temperature), data.test_labels),
    }
    if validation.negatives is None or not len(validation.negatives):
        return measured
    none = len(data.labels)
    refused = logits_of(model, validation.negatives).argmax(axis=1) == none
    kinds = np.asarray(validation.kinds)
    return measured | {
        "validation_refused": round(float(np.mean(clean.argmax(axis=1) == none)), 6),
        "rendered_refused": round(float(np.mean(drawn.argmax(axis=1) == none)), 6),
        "negatives_refused": round(float(np.mean(refused)), 6),
        "negatives_refused_by_kind": {
            str(kind): round(float(np.mean(refused[kinds == kind])), 4) for kind in np.unique(kinds)
        },
    }


def versions() -> dict[str, str]:
    """What the numbers were made with."""
    import cv2
    import tensorflow as tf

    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "platform": platform.machine(),
    }


@dataclass(frozen=True, slots=True)
class _Validation:
    """What drives every choice: digits as they are and rendered, and rendered negatives if there is a `none`."""

    digits: Glyphs
    rendered: Glyphs
    labels: NDArray[np.int64]
    negatives: Glyphs | None
    kinds: tuple[str, ...]
    hand: Glyphs
    """Of a person that is to be taught: what was kept back of theirs, or all there is."""
    hand_labels: NDArray[np.int64]

    @classmethod
    def of(cls, data: Dataset, negatives: Negatives | None) -> "_Validation":
        rendered = render(data.validation_images, RENDERED_SEED, light_part=RENDERED_LIGHT_PART)
        hand, hand_labels = data.validation_images[:0], data.validation_labels[:0]
        if data.hand is not None:
            held = len(data.hand.held_images) > 0
            hand = data.hand.held_images if held else data.hand.images
            hand_labels = data.hand.held_labels if held else data.hand.labels
        refused, kinds = None, ()
        if negatives is not None:
            refused = render(negatives.validation, RENDERED_SEED)
            clear = [k for k, glyph in enumerate(refused) if not is_digit_like(glyph)]
            kinds = tuple(negatives.validation_kinds[k] for k in clear)
            refused = refused[clear]
        return cls(data.validation_images, rendered, data.validation_labels, refused, kinds, hand, hand_labels)

    def without_none(self) -> "_Validation":
        """The same for a network that knows the classes only."""
        return replace(self, negatives=None, kinds=())


class _Fit:
    """What every network of a training shares."""

    def __init__(
        self,
        validation: _Validation,
        images: Glyphs,
        targets: NDArray[np.float32],
        profile: Profile,
        renderer: Renderer,
        folder: Path,
    ) -> None:
        self.validation, self.images = validation, images
        self.targets, self.profile, self.renderer, self.folder = targets, profile, renderer, folder

    def run(
        self,
        runs: dict[str, Run],
        name: str,
        widths: tuple[int, ...],
        epochs: int,
        teacher: keras.Model | None,
        first_model: keras.Model | None = None,
    ) -> keras.Model:
        """Trains one network for `epochs` epochs or what is left of them, and returns the best of them.

        teacher: learnt from beside the labels. first_model: gone on from, instead of a new one.
        """
        state, latest, best = (self.folder / f"{name}{end}" for end in (".json", "-latest.keras", "-best.keras"))
        if state.is_file() and latest.is_file() and best.is_file():
            run = Run(**json.loads(state.read_text()))
            model = keras.models.load_model(latest)
            print(f"{name}: going on after epoch {run.epoch}", flush=True)
        else:
            run = Run(name, epoch=0, best_score=-np.inf, best_epoch=0, history=[])
            new = digit_network(self.targets.shape[1], widths, name=name) if first_model is None else first_model
            model = self._compiled(new, epochs)
        runs[name] = run
        passes = self.profile.passes
        stream = 2 if first_model is not None else int(teacher is None)  # what goes on is shown nothing twice
        rounds = self.renderer.rounds(run.epoch // passes, -(-epochs // passes), stream)
        glyphs, targets = self.images, self.targets
        weights = np.ones(len(glyphs), np.float32)
        first = run.epoch
        for epoch in range(first, epochs):
            began = time.monotonic()
            if epoch == first or epoch % passes == 0:
                glyphs = next(rounds)
                targets, weights = self._targets(glyphs, teacher), self._weights(glyphs)
            title = f"{name} {epoch + 1}/{epochs}"
            fitted = model.fit(
                as_input(glyphs),
                targets,
                sample_weight=weights,
                batch_size=self.profile.batch_size,
                initial_epoch=epoch,
                epochs=epoch + 1,
                verbose=0,
                callbacks=[ProgressBar(title)],
            )
            measured = self._measure(model)
            run.epoch = epoch + 1
            seconds = round(time.monotonic() - began, 1)
            run.history.append({"loss": round(float(fitted.history["loss"][0]), 5), **measured, "seconds": seconds})
            if measured["score"] > run.best_score:
                run.best_score, run.best_epoch = measured["score"], run.epoch
                save(model, best)
            save(model, latest)
            _replace(state, json.dumps(asdict(run)))
            print(
                f"{title}  loss {run.history[-1]['loss']:.4f}  validation {measured['validation_accuracy']:.2%}"
                f"  rendered {measured['rendered_accuracy']:.2%}"
                + (f"  refused {measured['negatives_refused']:.2%}" if "negatives_refused" in measured else "")
                + (f"  hand {measured['hand_accuracy']:.2%}" if "hand_accuracy" in measured else "")
                + f"  {seconds:.0f} s"
                f"{'  best' if run.best_epoch == run.epoch else ''}",
                flush=True,
            )
        return keras.models.load_model(best, compile=False)

    def _targets(self, glyphs: Glyphs, teacher: keras.Model | None) -> NDArray[np.float32]:
        if teacher is None:
            return self.targets
        said = softmax(logits_of(teacher, glyphs)).astype(np.float32)
        if said.shape[1] < self.targets.shape[1]:  # it knows no `none`
            said = np.pad(said, ((0, 0), (0, 1)))
            said = np.where(self.targets[:, -1:] == 1, self.targets, said)
        return self.profile.teacher_weight * said + (1 - self.profile.teacher_weight) * self.targets

    def _weights(self, glyphs: Glyphs) -> NDArray[np.float32]:
        """1 for every glyph but negatives of which rendering left a bar or a ring: nothing is to be learnt of those."""
        weights = np.ones(len(glyphs), np.float32)
        if self.validation.negatives is not None:
            none = np.flatnonzero(self.targets[:, -1])
            weights[[k for k in none if is_digit_like(glyphs[k])]] = 0
        return weights

    def _compiled(self, model: keras.Model, epochs: int) -> keras.Model:
        profile = self.profile
        steps = -(-len(self.images) // profile.batch_size)
        warmup = max(1, round(steps * profile.warmup_epochs))
        schedule = keras.optimizers.schedules.CosineDecay(
            profile.learning_rate / 20,
            decay_steps=max(1, steps * epochs - warmup),
            warmup_target=profile.learning_rate,
            warmup_steps=warmup,
        )
        model.compile(
            keras.optimizers.AdamW(schedule, weight_decay=profile.weight_decay),
            keras.losses.CategoricalCrossentropy(from_logits=True),
        )
        return model

    def _measure(self, model: keras.Model) -> dict[str, float]:
        """Validation as it is and as the device would see it rewritten; the score that chooses weighs both alike.

        The likelihood, taken at the best temperature, tells models apart whose accuracies differ by a digit or two.
        """
        labels = self.validation.labels
        clean, drawn = logits_of(model, self.validation.digits), logits_of(model, self.validation.rendered)
        both = np.concatenate([clean, drawn])
        twice = np.concatenate([labels, labels])
        temperature = fit_temperature(both, twice)
        nll = negative_log_likelihood(both, twice, temperature)
        measured = {
            "validation_accuracy": _accuracy(clean, labels),
            "rendered_accuracy": _accuracy(drawn, labels),
        }
        if len(self.validation.hand):
            said = logits_of(model, self.validation.hand)
            measured["hand_accuracy"] = _accuracy(said, self.validation.hand_labels)
            nll += HAND_WEIGHT * negative_log_likelihood(said, self.validation.hand_labels, temperature)
        if self.validation.negatives is not None and len(self.validation.negatives):
            said = logits_of(model, self.validation.negatives)
            none = np.full(len(said), said.shape[1] - 1)
            measured["negatives_refused"] = _accuracy(said, none)
            nll += NEGATIVE_WEIGHT * negative_log_likelihood(said, none, temperature)
        return measured | {"score": round(-nll, 6)}


def _accuracy(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    return round(float(np.mean(logits.argmax(axis=1) == labels)), 6)


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


def _clear(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            path.unlink()
