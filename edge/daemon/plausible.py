"""What a field's value can be, beside what was read: its point, its direction, its steps."""

import re
from decimal import Decimal

from edge.daemon.settings import FieldSettings

VALUE = re.compile(r"[0-9]+(\.[0-9]+)?")  # of a field whose values are numbers


def value_of(field: FieldSettings, text: str) -> str:
    """The value of a valid text: with its decimal point, where the field has one."""
    if not field.decimals:
        return text
    return f"{_number(field, text):f}"  # str() would write 0.0000001 as 1E-7


def objection(field: FieldSettings, text: str, before: str | None) -> str | None:
    """Why a text cannot be the field's next value; None where it can.

    text: valid as the form has it. before: the last value, as `value_of` gave it; from before the field had rules for
    numbers it may be none, and then any number can follow.
    """
    if not is_number(field):
        return None
    if not text.isdecimal():
        return "not one number"
    value = _number(field, text)
    if field.roll_over is not None and value > Decimal(str(field.roll_over)):
        return f"{value:f} is more than {_plain(field.roll_over)}, after which it rolls over"
    if before is None:
        return None
    last = _decimal(before)
    if last is None:
        return None
    step = value - last
    if step < 0 and field.roll_over is not None:
        step += Decimal(str(field.roll_over)) + Decimal(1).scaleb(-field.decimals)
        # Backwards by a little is a misread digit, not once around.
        if field.largest_step is None and 2 * step > Decimal(str(field.roll_over)):
            step = value - last
    if step < 0 and field.never_decreasing:
        return f"{value:f} is less than {last:f} before"
    if field.largest_step is not None and abs(step) > Decimal(str(field.largest_step)):
        back = value - last
        shown = min(step, back, key=abs)
        return (
            f"{value:f} is {'+' if shown > 0 else ''}{shown:f} from {last:f} before, "
            f"more than {_plain(field.largest_step)}"
        )
    return None


def is_number(field: FieldSettings) -> bool:
    """Whether the field's values have an order: it has a rule that needs one."""
    return bool(
        field.decimals or field.never_decreasing or field.largest_step is not None or field.roll_over is not None
    )


def _number(field: FieldSettings, text: str) -> Decimal:
    return Decimal(int(text)).scaleb(-field.decimals)


def _decimal(value: str) -> Decimal | None:
    return Decimal(value) if VALUE.fullmatch(value) else None


def _plain(number: float) -> str:
    return f"{number:.10g}"
