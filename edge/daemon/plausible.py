"""What a field's value can be, beside what was read: its point, its direction, its steps."""

from decimal import Decimal

from edge.daemon.settings import FieldSettings


def value_of(field: FieldSettings, text: str) -> str:
    """The value of a valid text: with its decimal point, where the field has one."""
    if not field.decimals:
        return text
    return str(_number(field, text))


def objection(field: FieldSettings, text: str, before: str | None) -> str | None:
    """Why a text cannot be the field's next value; None where it can.

    text: valid as the form has it. before: the last value, as `value_of` gave it.
    """
    if not is_number(field):
        return None
    if not text.isdecimal():
        return "not one number"
    value = _number(field, text)
    if field.roll_over is not None and value > Decimal(str(field.roll_over)):
        return f"{value} is more than {_plain(field.roll_over)}, after which it rolls over"
    if before is None:
        return None
    last = Decimal(before)
    step = value - last
    if step < 0 and field.roll_over is not None:
        step += Decimal(str(field.roll_over)) + Decimal(1).scaleb(-field.decimals)
        # Backwards by a little is a misread digit, not once around.
        if field.largest_step is None and 2 * step > Decimal(str(field.roll_over)):
            step = value - last
    if step < 0 and field.never_decreasing:
        return f"{value} is less than {last} before"
    if field.largest_step is not None and abs(step) > Decimal(str(field.largest_step)):
        back = value - last
        shown = min(step, back, key=abs)
        return (
            f"{value} is {'+' if shown > 0 else ''}{shown} from {last} before, more than {_plain(field.largest_step)}"
        )
    return None


def is_number(field: FieldSettings) -> bool:
    """Whether the field's values have an order: it has a rule that needs one."""
    return bool(
        field.decimals or field.never_decreasing or field.largest_step is not None or field.roll_over is not None
    )


def _number(field: FieldSettings, text: str) -> Decimal:
    return Decimal(int(text)).scaleb(-field.decimals)


def _plain(number: float) -> str:
    return f"{number:.10g}"
