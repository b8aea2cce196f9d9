"""The source that the configuration names: where frames come from."""

from edge.capture import CAMERAS, PORTS, Camera, Source, Turned, Video
from edge.daemon.inbox import Inbox, Pictures
from edge.daemon.settings import SourceSettings
from edge.errors import SourceError

LONGEST_LOCATION = 4096  # characters of a location file's first line: as long as Linux takes a path
HALF_TURN = 180  # degrees


def open_camera(settings: SourceSettings, pictures: Pictures) -> Source:
    """The configured source: not yet opened, so whether it works is not known. That of a folder is an `Inbox`.

    pictures: remembers a folder's pictures; the store does.
    Raises SourceError where the location cannot be one.
    """
    location = _location(settings)
    if settings.kind == "folder":
        return Inbox(
            _named(location, "folder"), pictures, done=settings.done, failed=settings.failed, rotate=settings.rotate
        )
    source = _source(settings, location)
    # Half a turn is made by a picamera2 itself.
    turns = settings.rotate and not (settings.kind == "picamera2" and settings.rotate == HALF_TURN)
    return Turned(source, settings.rotate) if turns else source


def _source(settings: SourceSettings, location: str) -> Source:
    if settings.kind == "synthetic":
        from edge.daemon.synthetic import Synthetic

        return Synthetic(settings.size, settings.rate)
    if settings.kind == "picamera2":
        from edge.daemon.picamera import PiCamera

        return PiCamera(settings, _number(location, 'of a camera, as "rpicam-hello --list-cameras" counts them'))
    if settings.kind == "camera":
        return Camera(_device(location), size=settings.size, rate=settings.rate)
    if settings.kind == "video":
        return Video(_named(location, "video file"), rate=settings.rate)
    return _stream(_named(location, "stream"), settings.rate)


def _location(settings: SourceSettings) -> str:
    if not settings.location_file:
        return settings.location
    try:
        with open(settings.location_file, encoding="utf-8-sig") as file:
            location = file.readline(LONGEST_LOCATION).strip()
    except UnicodeError:
        raise SourceError(f"source.location_file: {settings.location_file}: not a text in UTF-8") from None
    except OSError as error:
        raise SourceError(f"source.location_file: {settings.location_file}: {error.strerror}") from None
    if not location:
        raise SourceError(f"source.location_file: {settings.location_file}: its first line is empty")
    return location


def _named(location: str, what: str) -> str:
    if not location:
        raise SourceError(f'source.location is missing: which {what}? Set location = "..." below [source]')
    return location


def _number(location: str, of_what: str) -> int:
    if not location:
        return 0
    if not (location.isascii() and location.isdigit()):
        raise SourceError(f"source.location: {location}: not the number {of_what}")
    return int(location)


def _device(location: str) -> str:
    if not location:
        location = "0"
    return f"{CAMERAS}{int(location)}" if location.isascii() and location.isdigit() else location


def _stream(location: str, rate: float) -> Video:
    scheme, found, _ = location.partition("://")
    if not found or scheme.lower() not in PORTS:
        # Not told: there may be a password in it.
        raise SourceError(f"source.location: a stream's address begins with {', '.join(f'{s}://' for s in PORTS)}")
    return Video(location, rate=rate)
