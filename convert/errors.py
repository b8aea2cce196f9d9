"""What can go wrong in a conversion, said in one line for a person."""

from edge.errors import EdgeDigitsError

KERAS_REASON = "Exception encountered:"
LONGEST_REASON = 200  # characters of another library's message that are passed on


class ConversionError(EdgeDigitsError):
    """A model cannot be loaded or converted, or lost too much on the way."""


def reason(error: BaseException) -> str:
    """The telling line of another library's message, shortened.

    That is the first, but the last where the message holds a traceback, and what Keras puts behind its own headline.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    inner = [line.removeprefix(KERAS_REASON).strip() for line in lines if line.startswith(KERAS_REASON)]
    lines = [line for line in inner if line] or lines
    text = (lines[-1] if any(line.startswith(("File ", "in user code")) for line in lines) else lines[0]).rstrip(".")
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"
