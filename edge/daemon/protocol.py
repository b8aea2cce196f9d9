"""What the parts of the daemon may ask of the whole: the sinks, the web, the button."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edge.daemon.live import Live
from edge.daemon.settings import FieldSettings, Settings
from edge.errors import EdgeDigitsError

if TYPE_CHECKING:
    from edge.daemon.store import Store
    from edge.reader import DigitReader

Record = dict[str, Any]  # one reading, as docs/daemon.md gives it


class NoReadingError(EdgeDigitsError):
    """A reading was asked for and there is none: the source gives no frame, or what it shows is not stable."""


class Daemon(Protocol):
    """The running service. Every method may be called from any thread."""

    settings: Settings
    store: "Store"
    live: Live
    reader: "DigitReader"
    name: str
    """Of the device."""
    state: Path
    """Folder for everything that is kept."""

    def trigger(self, by: str, timeout: float = 10.0) -> Record:
        """Takes frames now, whatever the interval, and reads them: the record of the stable reading, committed.

        by: who asks, for the log. Raises NoReadingError, StoreError.
        """
        ...

    def fields(self) -> tuple[FieldSettings, ...]:
        """The fields in force."""
        ...

    def form_text(self) -> str:
        """They as TOML, in the form of docs/fields.md with the daemon's keys."""
        ...

    def save_fields(self, text: str) -> None:
        """Puts the fields of a TOML text in force from the next frame on, and keeps them.

        Raises UsageError for a mistake in it, and where the configuration fixes the fields; StoreError where they
        cannot be kept.
        """
        ...

    def health(self) -> dict[str, Any]:
        """How everything is doing, as GET /api/health says it."""
        ...
