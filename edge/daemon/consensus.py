"""From the frames' readings to one that is stable: votes for each field, or for the page, and values that can be."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from edge.daemon.plausible import objection, value_of
from edge.daemon.settings import FieldSettings, ReadingSettings
from edge.daemon.stable import Verdict, Votes
from edge.reading import Box, Digit, Field, Reading

PAGE = ""  # names the page itself, where there are no fields
NOT_STABLE = "not stable"

LastValue = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the last frames agree on.

    `reading`: of the newest frame, its digits and fields as the votes have them. `texts`: the stable text of each
    field, or of the page under `PAGE`; None where nothing is stable. `reason`: why, for people, where one is not.
    """

    reading: Reading
    texts: dict[str, str | None]
    reason: str

    @property
    def is_stable(self) -> bool:
        """Whether all of it is."""
        return None not in self.texts.values()


class Tally:
    """Counts the votes of frames for each place on the page."""

    def __init__(self, settings: ReadingSettings, fields: tuple[FieldSettings, ...], last_value: LastValue) -> None:
        """last_value: what a field's last valid value was, None where there was none."""
        self._fields = {field.form.name: field for field in fields}
        self._last_value = last_value
        self._votes = {
            name: Votes(settings.frames, settings.agree, settings.confidence) for name in self._fields or (PAGE,)
        }

    def clear(self) -> None:
        """Forgets all frames."""
        for votes in self._votes.values():
            votes.clear()

    def add(self, reading: Reading) -> Consensus:
        """One more frame's reading; what is agreed on now."""
        if not self._fields:
            verdict = self._votes[PAGE].add(reading.digits)
            agreed = reading if verdict.digits is None else replace(reading, digits=verdict.digits)
            return Consensus(agreed, {PAGE: verdict.text}, verdict.reason)
        texts: dict[str, str | None] = {}
        reasons, fields, voted = [], [], dict[Box, Digit]()
        for field in reading.fields:
            verdict = self._votes[field.name].add(field.digits)
            stable = self._settled(field, verdict)
            if verdict.digits is None or _lines(verdict.digits) != _lines(field.digits):
                # The digits of a record are those of one frame: this one lacks some of those agreed on.
                texts[field.name] = None
                reasons.append(f"{field.name}: {verdict.reason or 'this frame differs from those before'}")
            else:
                texts[field.name] = stable.text
                voted |= {old.box: new for old, new in zip(field.digits, verdict.digits, strict=True)}
            fields.append(stable)
        digits = tuple(
            replace(digit, label=voted[digit.box].label, confidence=voted[digit.box].confidence)
            if digit.box in voted
            else digit
            for digit in reading.digits
        )
        return Consensus(replace(reading, digits=digits, fields=tuple(fields)), texts, "; ".join(reasons))

    def _settled(self, field: Field, verdict: Verdict) -> Field:
        """The field with what was voted, judged."""
        settings = self._fields[field.name]
        text = verdict.text
        if text is None or verdict.digits is None:
            return replace(field, value=None, valid=False, reason=f"{NOT_STABLE}: {verdict.reason}")
        confidence = min((digit.confidence for digit in verdict.digits), default=0.0)
        reason = settings.form.judge(text)
        value = None
        if reason is None:
            reason = objection(settings, text, self._last_value(field.name))
            value = value_of(settings, text) if reason is None else None
        return replace(
            field,
            text=text,
            value=value,
            confidence=confidence,
            valid=reason is None,
            reason=reason,
            digits=verdict.digits,
        )


def _lines(digits: tuple[Digit, ...]) -> list[int]:
    return [digit.line for digit in digits]
