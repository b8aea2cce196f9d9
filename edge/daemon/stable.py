"""Votes of the last frames: what they agree on, digit by digit, is stable."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from edge.reading import Digit

Shape = tuple[int, ...]  # how many digits each line has


@dataclass(frozen=True, slots=True)
class Verdict:
    """What frames agree on.

    `digits`: of the newest frames that agree, each with the mean confidence of those that do; None where they do not,
    and `reason` says why.
    """

    digits: tuple[Digit, ...] | None
    reason: str = ""

    @property
    def text(self) -> str | None:
        """Its lines, one below the other; None where nothing is agreed on."""
        return None if self.digits is None else text_of(self.digits)


class Votes:
    """The last frames' digits of one place, a field or a whole page.

    Each digit is settled by itself where as many frames have as many digits in each line: a fly on one digit in one
    frame, and on another in the next, costs nothing.
    """

    def __init__(self, frames: int, agree: int, confidence: float) -> None:
        """agree: how many of the last `frames` have to; more than half of them, so that no two texts can win.

        confidence: 0 to 1, the mean of those that agree on a digit, at least.
        """
        self._ballots: deque[tuple[Digit, ...]] = deque(maxlen=frames)
        self._agree = agree
        self._confidence = confidence

    def clear(self) -> None:
        """Forgets all frames."""
        self._ballots.clear()

    def add(self, digits: Iterable[Digit]) -> Verdict:
        """One more frame's digits, in reading order; what is agreed on now."""
        self._ballots.append(tuple(digits))
        return self._verdict()

    def _verdict(self) -> Verdict:
        shape, count = Counter(map(_shape, self._ballots)).most_common(1)[0]
        if count < self._agree:
            seen = list(dict.fromkeys(text_of(ballot).replace("\n", " / ") or "nothing" for ballot in self._ballots))
            if len(self._ballots) < self._agree:
                return Verdict(None, f"{len(self._ballots)} of {self._agree} frames seen: {', '.join(seen)}")
            return Verdict(None, f"the frames differ: {', '.join(seen)}")
        ballots = [ballot for ballot in self._ballots if _shape(ballot) == shape]
        agreed = []
        for place, digits in enumerate(zip(*ballots, strict=True), 1):
            label, votes = Counter(digit.label for digit in digits).most_common(1)[0]
            if votes < self._agree:
                texts = sorted({digit.text for digit in digits})
                return Verdict(None, f"digit {place} is {' or '.join(texts)}")
            of_these = [digit for digit in digits if digit.label == label]
            confidence = fmean(digit.confidence for digit in of_these)
            if label is not None and confidence < self._confidence:
                return Verdict(None, f"digit {place} is {label} with a confidence of {confidence:.2f} only")
            agreed.append(replace(of_these[-1], confidence=confidence))
        return Verdict(tuple(agreed))


def text_of(digits: Sequence[Digit]) -> str:
    """The text of digits in reading order, a line below the other, `?` for what is no digit."""
    lines: dict[int, str] = {}
    for digit in digits:
        lines[digit.line] = lines.get(digit.line, "") + digit.text
    return "\n".join(lines.values())


def _shape(digits: Sequence[Digit]) -> Shape:
    return tuple(Counter(digit.line for digit in digits).values())
