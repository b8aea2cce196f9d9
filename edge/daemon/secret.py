"""Read a password or token: from a file or the environment, never from the configuration itself."""

import os
from pathlib import Path

from edge.errors import UsageError

MAX_SECRET_BYTES = 65_536  # a file that is larger is something else


def secret(key: str, file: str, variable: str) -> str | None:
    """The first line of the file, else the environment variable; None where neither is given.

    key: the configuration's name of the file, for errors. Raises UsageError where the file cannot be read or the
    secret is empty or of characters that no header takes; what it holds is in no message.
    """
    if file:
        try:
            with Path(file).open("rb") as opened:
                data = opened.read(MAX_SECRET_BYTES)
        except OSError as error:
            raise UsageError(f"{key} {file}: {error.strerror}") from None
        found, where = data.decode("utf-8", "replace").partition("\n")[0].strip(), f"{key} {file}"
    elif variable in os.environ:
        found, where = os.environ[variable].strip(), variable
    else:
        return None
    if not found:
        raise UsageError(f"{where}: it is empty")
    if not found.isprintable() or "\N{REPLACEMENT CHARACTER}" in found:
        raise UsageError(f"{where}: its first line is not text")
    return found
