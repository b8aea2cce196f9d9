"""Name the digit in a picture: decode, find the glyph, classify, and judge whether the answer is good enough."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.classifier import Classifier, Probabilities, describe
from edge.decode import Page, decode, decode_page, page_of
from edge.errors import UsageError
from edge.judge import Judge
from edge.line_network import DIGITS, LineNetwork
from edge.preprocess import single_glyph
from edge.reading import Reading
from edge.recognize import read_at_a_glance, read_page

if TYPE_CHECKING:
    from edge.fields import Form

Image = NDArray[np.uint8]

DEFAULT_TOP_K = 2
KEPT_BYTES = 1 << 22  # of freed memory, at least: a page of a megapixel goes through some four times as much
NO_DIGIT = "no digit found"
NOT_A_DIGIT = "not a digit"  # what the model's own label for it means


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label and how likely it is, 0 to 1."""

    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Classification:
    """What one picture shows.

    `label`: None where it is refused, and `reason` says why. `confidence`: of the best candidate, 0 to 1, 0 where
    nothing was found. `top`: the best candidates, the best first.
    """

    label: str | None
    confidence: float
    top: tuple[Candidate, ...]
    reason: str | None = None


class DigitReader:
    """Reads handwritten digits in pictures. Safe to use from several threads."""

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        runtime: str | None = None,
        threads: int = 1,
        top_k: int = DEFAULT_TOP_K,
        min_confidence: float | None = None,
    ) -> None:
        """model: a .tflite file, None for the one that ships. runtime: "litert" or "tflite", None for the best.

        threads: the runtime's own, for one glyph. top_k: how many candidates an answer lists. min_confidence: 0 to 1,
        an answer with less is refused; None takes the model's own threshold. OpenCV is left with one thread in this
        process.
        Raises ModelError, MissingRuntimeError or UsageError.
        """
        if top_k < 1:
            raise UsageError(f"top-k is {top_k}; list at least one candidate")
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise UsageError(f"a confidence of {min_confidence:g} does not exist; it is a number from 0 to 1")
        self.classifier = Classifier(model, runtime, threads)
        self.lines: LineNetwork | None = None
        if {str(value) for value in range(DIGITS)} <= set(self.classifier.labels):
            self.lines = LineNetwork(runtime=self.classifier.runtime, threads=threads)
        _keep_freed_memory()
        # One picture a core uses the cores better than one picture on all of them, and a fork would lose the threads.
        # On a small photo they waste a third of the processor time, waiting for work, and gain nothing.
        cv2.setNumThreads(1)
        self.top_k = min(top_k, self.classifier.classes - (self.classifier.none_index is not None))
        self.min_confidence = self.classifier.info.rejection_threshold if min_confidence is None else min_confidence

    def classify(self, picture: str | os.PathLike[str] | Image) -> Classification:
        """Names the one digit in a picture: a path, or a frame uint8 (height, width, 3) BGR or (height, width) grey.

        Raises PictureError for a file that cannot be read and ValueError for what is neither a path nor a frame.
        """
        picture = _checked(picture)
        frame = picture if isinstance(picture, np.ndarray) else decode(picture)
        return self.judge_glyphs([single_glyph(frame)])[0]

    def read(
        self,
        picture: str | os.PathLike[str] | Image | Page,
        *,
        fields: "Form | None" = None,
        full_resolution: bool = False,
    ) -> Reading:
        """Finds and reads every digit of a picture: a path, a frame as `classify` takes it, or a page.

        fields: a form, as `edge.fields.load_form` gives it, whose fields are wanted. full_resolution: also digits lower
        than 1/150 of the picture's longer side, as long as they have 12 pixels.
        Raises PictureError for a file that cannot be read and ValueError for what is neither a path nor a frame.
        """
        if isinstance(picture, Page):
            page = picture
        elif isinstance(picture := _checked(picture), np.ndarray):
            page = page_of(picture, full_resolution=full_resolution)
        else:
            page = decode_page(picture, full_resolution=full_resolution)
        if fields is None:
            return self._read(page, full_resolution)
        from edge.fields import read_form

        return read_form(fields, page, lambda page: self._read(page, full_resolution, True), full_resolution)

    def _read(self, page: Page, full_resolution: bool, with_beside: bool = False) -> Reading:
        # A digit that is not sure enough for who asks is still ink of its line.
        threshold = min(self.min_confidence, self.classifier.info.rejection_threshold)
        judge = Judge(self._name, self.classifier.labels, threshold, self.min_confidence)
        if page.glance is not None and not with_beside and not full_resolution:
            clear = read_at_a_glance(page.glance, judge, self.lines)
            if clear is not None:
                return Reading(page.width, page.height, clear)
        digits, beside = read_page(page, judge, self.lines, full_resolution=full_resolution, with_beside=with_beside)
        return Reading(page.width, page.height, digits, beside=beside)

    def _name(self, glyph: Image) -> Probabilities:
        """How likely each label is for a glyph, uint8 (28, 28): float32 (classes,), 0 for what is no digit."""
        probabilities: Probabilities = self.classifier(glyph[None])[0]
        none = self.classifier.none_index
        if none is not None:
            probabilities[none] = 0
        return probabilities

    def forget_interpreters(self) -> None:
        """Make new interpreters from here on: those made before a fork lost their threads to it."""
        self.classifier.forget_interpreters()
        if self.lines is not None:
            self.lines.forget_interpreters()

    def judge_glyphs(self, glyphs: Sequence[Image | None]) -> list[Classification]:
        """A classification for each glyph, uint8 (28, 28); None is a picture in which there was none."""
        # One by one: a batch is no faster, and so an answer is the same to the bit whoever else is in it.
        return [NOTHING if glyph is None else self._judge(self.classifier(glyph[None])[0]) for glyph in glyphs]

    def _judge(self, probabilities: Probabilities) -> Classification:
        """probabilities: float32 (classes,)."""
        labels = self.classifier.labels
        none = self.classifier.none_index
        order = (-probabilities).argsort(kind="stable").tolist()
        best = [index for index in order if index != none][: self.top_k]
        top = tuple(Candidate(labels[index], probabilities.item(index)) for index in best)
        confidence = top[0].confidence
        if confidence < self.min_confidence:
            if order[0] == none:
                return Classification(None, confidence, top, f"{NOT_A_DIGIT} (confidence {confidence:.2f})")
            return Classification(None, confidence, top, f"confidence below {self.min_confidence:g}")
        return Classification(top[0].label, confidence, top)


def _keep_freed_memory() -> None:
    """Has the memory of a picture used again for the next one.

    glibc hands large blocks back to the system and takes them anew, page by page: a seventh of the time of reading a
    small photo. It stops doing so for blocks as large as the largest one ever freed (M_MMAP_THRESHOLD in mallopt(3)):
    this one, which costs nothing, as nobody writes to it. Elsewhere it does nothing.
    """
    np.empty(KEPT_BYTES, np.uint8)


def _checked(picture: str | os.PathLike[str] | Image) -> str | os.PathLike[str] | Image:
    """The picture, where it is a path or a frame. Raises ValueError."""
    if isinstance(picture, str | os.PathLike):
        return picture
    is_image = isinstance(picture, np.ndarray) and picture.shape[2:] in ((), (3,)) and picture.ndim >= 2
    if not is_image or picture.dtype != np.uint8 or picture.size == 0:
        raise ValueError(
            f"a picture is a path or a frame, uint8 (height, width) or (height, width, 3), not {describe(picture)}"
        )
    return picture


NOTHING = Classification(None, 0.0, (), NO_DIGIT)
