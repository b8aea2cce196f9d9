"""Glyphs in, probabilities out: a .tflite model behind either runtime, whatever its input and output look like."""

import contextlib
import importlib
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import model_file
from edge.errors import MissingRuntimeError, ModelError, UsageError
from edge.preprocess import GLYPH_SIZE, PREPROCESSING_VERSION

Glyphs = NDArray[np.uint8]
Probabilities = NDArray[np.float32]

RUNTIME_VARIABLE = "EDGE_DIGITS_RUNTIME"  # environment variable that names the runtime
RUNTIMES = {  # name: (module, distribution), the one to take first where both are installed first
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite": ("tflite_runtime.interpreter", "tflite-runtime"),
}

ONE_GLYPH = (1, GLYPH_SIZE, GLYPH_SIZE)
UINT8 = np.dtype(np.uint8)
PIXEL_LEVELS = 256
# Sums of exponentials that float32 holds without loss; it ends at exp(+-87).
SMALLEST_TOTAL, LARGEST_TOTAL = math.exp(-60), math.exp(60)
PLAIN_EXPONENT = 50.0  # a model whose logits / temperature reach this on mere probes may overflow on others
PROBABILITY_TOLERANCE = 0.02  # an int8 softmax of ten classes is off by up to 10 / 512 in its sum
TINY_PROBABILITY = 1e-9  # stands for a probability that was rounded to 0, whose logarithm is infinite
MAX_THREADS = 64  # more gain nothing; with thousands the runtimes hang or crash
MIN_CLASSES = 2
MAX_PLAIN_CLASSES = 64  # a product with a larger matrix costs more than the calls it saves


def load_runtime(name: str | None = None) -> tuple[str, Callable[..., Any]]:
    """The runtime's name, "litert" or "tflite", and its Interpreter class.

    name: which one; None asks the environment variable EDGE_DIGITS_RUNTIME, then takes the first that is installed.
    Raises UsageError for another name, MissingRuntimeError where it is not installed.
    """
    name = name or os.environ.get(RUNTIME_VARIABLE) or None
    if name is not None and name not in RUNTIMES:
        raise UsageError(f"no runtime is called {name!r}; choose {' or '.join(RUNTIMES)}")
    reasons = []
    for candidate in [name] if name else list(RUNTIMES):
        module, distribution = RUNTIMES[candidate]
        try:
            return candidate, importlib.import_module(module).Interpreter
        except ModuleNotFoundError as error:
            if error.name is None or not module.startswith(error.name.split(".")[0]):
                reasons.append(f"{distribution} is installed but lacks {error.name}")
        except (ImportError, AttributeError) as error:  # built for another NumPy or another C library
            reasons.append(f"{distribution} is installed but cannot be loaded: {str(error).splitlines()[0]}")
    wanted = RUNTIMES[name][1] if name else "ai-edge-litert"
    raise MissingRuntimeError("; ".join([*reasons, f"no TensorFlow Lite runtime: pip install {wanted}"]))


class Classifier:
    """A model that names glyphs. Safe to call from several threads.

    `info`: what the model file says about itself. `labels`: one a class, in output order. `none_index`: which of them
    stands for what is none of the others, None where no label does. `runtime`: "litert" or "tflite". The pixels are
    brought to whatever input the model has, and its output becomes probabilities: softmax(logits / temperature).
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        runtime: str | None = None,
        threads: int = 1,
    ) -> None:
        """model: a .tflite file, None for the one that ships; threads: the runtime's own, for one glyph.

        Raises ModelError, MissingRuntimeError or UsageError.
        """
        if threads < 1:
            raise UsageError(f"{threads} threads; at least one is needed")
        if threads > MAX_THREADS:
            raise UsageError(f"{threads} threads; more than {MAX_THREADS} are not started")
        path = Path(model) if model is not None else model_file.default_model()
        self._content = model_file.load(path)
        info = model_file.parse(path, self._content)
        if info.preprocessing != PREPROCESSING_VERSION:
            raise ModelError(
                f"{path}: trained behind preprocessing {info.preprocessing}, this is {PREPROCESSING_VERSION}; "
                "train it again or install the edge-digits it was made with"
            )
        self._path = path
        self._threads = threads
        self.runtime, self._interpreter_class = load_runtime(runtime)
        engine = self._new_engine()
        # Engines that nobody is using. append and pop of a deque are atomic, so no lock is held while one runs, and
        # as many are made as threads ever call at once.
        self._idle: deque[_Engine] = deque([engine])

        self._feed = _input_encoder(path, engine, info.input_range)
        self._read = _output_decoder(engine)
        self.classes = engine.classes
        if info.labels is not None and len(info.labels) != self.classes:
            raise ModelError(f"{path}: it has {self.classes} outputs but {len(info.labels)} labels; convert it again")
        self.labels = info.labels or tuple(str(index) for index in range(self.classes))
        self.none_index = None if info.none is None else self.labels.index(info.none)

        self._to_exponents = np.eye(self.classes, dtype=np.float32) / np.float32(info.temperature)
        self._to_sums = np.ones((self.classes, self.classes), np.float32)
        self.info = info
        probed = self._run(engine, _probes())
        if info.output is None:
            self.info = replace(info, output="probabilities" if _are_probabilities(probed) else "logits")
        # uint8 pixels in, one row of float32 logits out: one glyph then skips what other models need.
        self._plain = (
            self.info.output == "logits"
            and self._feed is _as_they_are
            and self._read is _as_it_is
            and engine.output_shape == (1, self.classes)
            and self.classes <= MAX_PLAIN_CLASSES
            and float(abs(probed).max()) / info.temperature < PLAIN_EXPONENT
        )

    def classify(self, glyphs: Glyphs) -> Probabilities:
        """float32 (n, classes), each row summing to 1, for glyphs uint8 (n, 28, 28). Raises ValueError for others."""
        single = type(glyphs) is np.ndarray and glyphs.shape == ONE_GLYPH and glyphs.dtype is UINT8
        if not single and not _are_glyphs(glyphs):
            raise ValueError(f"glyphs are uint8 (n, {GLYPH_SIZE}, {GLYPH_SIZE}), not {describe(glyphs)}")
        try:
            engine = self._idle.pop()
        except IndexError:
            engine = self._new_engine()
        try:
            if single and self._plain:
                # A 33 microsecond model leaves 2 for the softmax. So: few NumPy calls on equal shapes (a broadcast or
                # a scalar costs three times as much), and products with small matrices, the cheapest call of all.
                engine.set_tensor(engine.input_index, glyphs.reshape(engine.input_shape))
                engine.invoke()
                logits: Probabilities = engine.get_tensor(engine.output_index)
                shares: Probabilities = logits.dot(self._to_exponents)
                np.exp(shares, shares)
                totals = shares.dot(self._to_sums)
                if SMALLEST_TOTAL < totals.item(0) < LARGEST_TOTAL:
                    shares /= totals
                    return shares
                return self._to_probabilities(logits)
            return self._to_probabilities(self._run(engine, glyphs))
        finally:
            self._idle.append(engine)

    __call__ = classify

    def forget_interpreters(self) -> None:
        """Make new interpreters from here on: those made before a fork lost their threads to it."""
        self._idle.clear()

    def _run(self, engine: "_Engine", glyphs: Glyphs) -> Probabilities:
        """Raw outputs, float32 (n, classes). Batches gain 5 % on LiteRT and lose on tflite-runtime: not worth it."""
        inputs = self._feed(engine, glyphs)
        outputs = np.empty((len(glyphs), self.classes), np.float32)
        for start in range(0, len(glyphs), engine.batch):
            chunk = inputs[start : start + engine.batch]
            count = len(chunk)
            if count < engine.batch:  # the model insists on its batch: the rest of the last one stays blank
                chunk = np.concatenate([chunk, np.zeros((engine.batch - count, *chunk.shape[1:]), chunk.dtype)])
            engine.set_tensor(engine.input_index, chunk.reshape(engine.input_shape))
            engine.invoke()
            raw = engine.get_tensor(engine.output_index).reshape(engine.batch, self.classes)
            outputs[start : start + count] = self._read(engine, raw)[:count]
        return outputs

    def _to_probabilities(self, outputs: Probabilities) -> Probabilities:
        if self.info.output == "probabilities":
            if self.info.temperature == 1.0:
                outputs = np.maximum(outputs, 0)
                total = outputs.sum(axis=1, keepdims=True)
                return np.divide(outputs, total, out=np.full_like(outputs, 1 / self.classes), where=total > 0)
            outputs = np.log(np.maximum(outputs, TINY_PROBABILITY))
        with np.errstate(invalid="ignore", over="ignore"):
            scaled = np.nan_to_num(outputs.astype(np.float64) / self.info.temperature)
        exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), np.float32)

    def _new_engine(self) -> "_Engine":
        return _load_engine(self._path, self._content, self.runtime, self._interpreter_class, self._threads)


def _probes() -> Glyphs:
    """Glyphs that have little in common: blank, two ramps, a stroke."""
    ramp = np.linspace(0, PIXEL_LEVELS - 1, GLYPH_SIZE).astype(np.uint8)
    probes = np.zeros((4, GLYPH_SIZE, GLYPH_SIZE), np.uint8)
    probes[1], probes[2] = ramp, ramp[:, None]
    probes[3, 4:24, 13:15] = PIXEL_LEVELS - 1
    return probes


def _are_probabilities(outputs: Probabilities) -> bool:
    """Whether these rows come out of a softmax: shares of 1, whatever went in."""
    return bool((outputs >= 0).all() and (abs(outputs.sum(axis=1) - 1) <= PROBABILITY_TOLERANCE).all())


def _are_glyphs(glyphs: object) -> bool:
    return (
        isinstance(glyphs, np.ndarray)
        and glyphs.ndim == 3
        and glyphs.shape[1:] == ONE_GLYPH[1:]
        and glyphs.dtype == UINT8
    )


def describe(array: object) -> str:
    """Type and shape of an array, for an error message."""
    if not isinstance(array, np.ndarray):
        return type(array).__name__
    return f"{array.dtype} ({', '.join(map(str, array.shape))})"


@dataclass(frozen=True, slots=True)
class _Engine:
    """One interpreter and the facts about its only input and output."""

    set_tensor: Callable[[int, Any], None]
    invoke: Callable[[], None]
    get_tensor: Callable[[int], Any]
    input_index: int
    input_shape: tuple[int, ...]
    input_type: np.dtype[Any]
    input_quantization: tuple[float, int]  # scale, zero point; scale 0 for none
    output_index: int
    output_shape: tuple[int, ...]
    output_quantization: tuple[float, int]
    output_type: np.dtype[Any]
    batch: int
    height: int
    width: int
    channels: int
    classes: int


def load_interpreter(
    path: Path,
    content: bytes,
    runtime: str,
    interpreter_class: Callable[..., Any],
    threads: int,
    shape: tuple[int, ...] | None = None,
) -> Any:
    """An interpreter of the model in `content`, ready to run; path: for what is said where it is not one of ours.

    shape: of its only input; None for its own, or where that is open, one glyph's. Raises ModelError.
    """
    with _quiet(runtime):
        try:
            interpreter = interpreter_class(model_content=content, num_threads=threads)
            inputs = interpreter.get_input_details()
            if shape is not None:
                interpreter.resize_tensor_input(inputs[0]["index"], shape)
            elif len(inputs) == 1:
                _settle_shape(interpreter, inputs[0])
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError, TypeError, MemoryError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{path}: {runtime} cannot load this model ({reason}); convert it again") from None
    return interpreter


def _load_engine(
    path: Path, content: bytes, runtime: str, interpreter_class: Callable[..., Any], threads: int
) -> _Engine:
    interpreter = load_interpreter(path, content, runtime, interpreter_class, threads)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{path}: a digit classifier has one input and one output, this model {len(inputs)} and {len(outputs)}"
        )
    shape = tuple(int(size) for size in inputs[0]["shape"])
    batch, height, width, channels = _glyph_layout(path, shape)
    output_shape = tuple(int(size) for size in outputs[0]["shape"])
    classes = math.prod(output_shape) // batch
    if classes < MIN_CLASSES or output_shape[-1] != classes:
        raise ModelError(f"{path}: its output has shape {output_shape}, not one number a class")
    return _Engine(
        set_tensor=interpreter.set_tensor,
        invoke=interpreter.invoke,
        get_tensor=interpreter.get_tensor,
        input_index=inputs[0]["index"],
        input_shape=shape,
        input_type=np.dtype(inputs[0]["dtype"]),
        input_quantization=inputs[0]["quantization"],
        output_index=outputs[0]["index"],
        output_shape=output_shape,
        output_quantization=outputs[0]["quantization"],
        output_type=np.dtype(outputs[0]["dtype"]),
        batch=batch,
        height=height,
        width=width,
        channels=channels,
        classes=classes,
    )


def _settle_shape(interpreter: Any, details: dict[str, Any]) -> None:
    """Give a model that takes pictures of any size glyphs of ours, one at a time."""
    wanted = [int(size) for size in details.get("shape_signature", details["shape"])]
    if -1 in wanted[1:] and len(wanted) in (3, 4):
        defaults = (1, GLYPH_SIZE, GLYPH_SIZE, 1)
        wanted = [default if size < 0 else size for size, default in zip(wanted, defaults, strict=False)]
        interpreter.resize_tensor_input(details["index"], wanted)


def _glyph_layout(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Batch, height, width and channels of an input of that shape."""
    if len(shape) == 4 and shape[3] in (1, 3):
        return shape[0], shape[1], shape[2], shape[3]
    if len(shape) == 3:
        return shape[0], shape[1], shape[2], 1
    if len(shape) == 2:
        for channels in (1, 3):
            side = math.isqrt(shape[1] // channels)
            if side > 1 and side * side * channels == shape[1]:
                return shape[0], side, side, channels
    raise ModelError(
        f"{path}: its input has shape {shape}; a digit classifier takes (1, height, width, channels) "
        "with 1 or 3 channels, (1, height, width) or (1, pixels)"
    )


Encoder = Callable[[_Engine, Glyphs], NDArray[Any]]
Decoder = Callable[[_Engine, NDArray[Any]], NDArray[Any]]


def _input_encoder(path: Path, engine: _Engine, input_range: tuple[float, float]) -> Encoder:
    """What turns glyphs into values of the model's input: a table of 256 entries, after a resize where needed."""
    table = _pixel_table(path, engine, input_range)
    same_pixels = table.dtype == np.uint8 and bool((table == np.arange(PIXEL_LEVELS)).all())
    same_shape = (engine.height, engine.width, engine.channels) == (GLYPH_SIZE, GLYPH_SIZE, 1)
    if same_pixels and same_shape:
        return _as_they_are

    def encode(engine: _Engine, glyphs: Glyphs) -> NDArray[Any]:
        if (engine.height, engine.width) != (GLYPH_SIZE, GLYPH_SIZE):
            shrinking = engine.height < GLYPH_SIZE or engine.width < GLYPH_SIZE
            method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
            resized = np.empty((len(glyphs), engine.height, engine.width), np.uint8)
            for source, target in zip(glyphs, resized, strict=True):
                cv2.resize(source, (engine.width, engine.height), dst=target, interpolation=method)
            glyphs = resized
        values: NDArray[Any] = glyphs if same_pixels else table[glyphs]
        if engine.channels > 1:
            values = np.repeat(values[..., None], engine.channels, axis=-1)
        return values

    return encode


def _pixel_table(path: Path, engine: _Engine, input_range: tuple[float, float]) -> NDArray[Any]:
    """The model's input value for each of the 256 pixel values."""
    low, high = input_range
    levels = np.arange(PIXEL_LEVELS)
    kind = engine.input_type
    if kind in (np.float32, np.float16, np.float64):
        return np.asarray(low + levels / (PIXEL_LEVELS - 1) * (high - low), kind)
    if kind in (np.uint8, np.int8):
        limits = np.iinfo(kind)
        scale, zero_point = engine.input_quantization
        if scale == 0:  # an integer model that was never quantized takes pixels
            return np.asarray(levels + limits.min, kind)
        values = np.round((low + levels / (PIXEL_LEVELS - 1) * (high - low)) / scale) + zero_point
        return np.asarray(np.clip(values, limits.min, limits.max), kind)
    raise ModelError(f"{path}: its input is {kind}; convert it with float32, int8 or uint8 input")


def _as_they_are(engine: _Engine, glyphs: Glyphs) -> NDArray[Any]:
    return glyphs


def _as_it_is(engine: _Engine, raw: NDArray[Any]) -> NDArray[Any]:
    return raw


def _output_decoder(engine: _Engine) -> Decoder:
    """What turns the model's output into real numbers."""
    if engine.output_type == np.float32:
        return _as_it_is
    scale, zero_point = engine.output_quantization
    if engine.output_type.kind in "iu" and scale:
        return lambda _, raw: (raw.astype(np.float32) - zero_point) * np.float32(scale)
    return lambda _, raw: raw.astype(np.float32)


_announcement = threading.Lock()
_announced: set[str] = set()  # runtimes


@contextlib.contextmanager
def _quiet(runtime: str) -> Iterator[None]:
    """Keep the line that a runtime writes on standard error when its first interpreter is made off the terminal.

    It comes from C++, so the descriptor itself has to point elsewhere meanwhile; once a process is enough.
    """
    with _announcement:
        if runtime in _announced:
            yield
            return
        try:
            kept = os.dup(2)
        except OSError:  # there is no standard error
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
            _announced.add(runtime)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
