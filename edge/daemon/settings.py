"""What can be configured: one dataclass a section of the TOML file, with its defaults. `config.py` loads the file."""

from dataclasses import dataclass, field
from pathlib import Path

from edge.fields import FormField

SOURCE_KINDS = ("synthetic", "picamera2", "camera", "stream", "video", "folder")
ROTATIONS = (0, 90, 180, 270)
WHEN = ("interval", "change", "request")
MQTT_VERSIONS = ("3.1.1", "5")
LOG_LEVELS = ("debug", "info", "warning", "error")
DEFAULT_PORT = 8347


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """[device]"""

    name: str = ""
    """In records and topics; empty: the host's name."""
    state: str = ""
    """Folder for database, fields and glyphs; empty: systemd's state directory, else ~/.local/state/edge-digits."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """[source]"""

    kind: str = "synthetic"
    location: str = ""
    """Of a camera: its device or number; a stream: its address; a video: its file; a folder: its path."""
    location_file: str = ""
    """A file whose first line is the location: for addresses with a password."""
    size: tuple[int, int] = (1280, 720)
    """Width and height in pixels that a camera is asked for."""
    rate: float = 10.0
    """Frames a second that a camera is asked for."""
    rotate: int = 0
    """Degrees clockwise by which its pictures are turned."""
    exposure_us: int = 0
    """Of picamera2: microseconds; 0: automatic."""
    gain: float = 0.0
    """Of picamera2: analogue gain; 0: automatic."""
    focus: float = -1.0
    """Of picamera2: lens position in dioptres; -1: the camera's own autofocus, if it has one."""
    done: str = ""
    """Of a folder: where pictures that were read go; empty: they stay, and are remembered."""
    failed: str = ""
    """Of a folder: where pictures that cannot be read go; empty: they stay, and are remembered."""
    retry_seconds: float = 1.0
    """Before a source that failed is opened again; doubled each time, up to retry_longest."""
    retry_longest: float = 60.0
    frozen_seconds: float = 30.0
    """A camera whose frames are the same to the bit for so long has failed; 0: never."""


@dataclass(frozen=True, slots=True)
class ReadingSettings:
    """[reading]"""

    model: str = ""
    runtime: str = ""
    threads: int = 1
    min_confidence: float = -1.0
    """0 to 1: digits with less are refused; -1: the model's own threshold."""
    full_resolution: bool = False
    when: str = "interval"
    """"interval", "change" of the picture, or "request" alone. Requests are answered in any case."""
    interval: float = 1.0
    """Seconds between two frames that are read."""
    change: float = 0.01
    """Of the picture's area: so much has to change."""
    frames: int = 5
    """The last N frames vote."""
    agree: int = 3
    """K of them have to agree on a digit."""
    confidence: float = 0.8
    """0 to 1: the mean confidence of those that agree, at least."""
    fields: str = ""
    """A TOML file with fields (docs/fields.md), relative to the state folder; the page writes it. Empty: [[field]]."""
    deskew: str = ""
    """"page" or "marks": how the page is straightened before its [[field]] boxes are found."""
    page_size: tuple[float, float] | None = None
    """Width and height of the page in the unit of the boxes; None: they are parts of it, 0 to 1."""


@dataclass(frozen=True, slots=True)
class FieldSettings:
    """[[field]]: a form's field, and what its values can be."""

    form: FormField
    decimals: int = 0
    """Digits behind the point."""
    never_decreasing: bool = False
    largest_step: float | None = None
    """Between two readings, in the value's unit."""
    roll_over: float | None = None
    """After this value comes 0: a meter of five digits rolls over at 99999."""
    unit: str = ""
    """For Home Assistant and the page."""
    device_class: str = ""
    """Home Assistant's, such as "water" or "energy"."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """[store]"""

    heartbeat_minutes: float = 15.0
    """An unchanged reading is recorded again after so long."""
    keep_days: float = 0.0
    """Older readings are deleted; 0: none."""
    keep_megabytes: float = 512.0
    """The database grows no larger: the oldest readings go; 0: no limit."""
    keep_glyphs: int = 10_000
    """Of so many readings the glyphs are kept, to be corrected."""


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """[stdout]"""

    enabled: bool = True


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """[mqtt]"""

    host: str = ""
    """Empty: no MQTT."""
    port: int = 0
    """0: 1883, or 8883 with TLS."""
    version: str = "5"
    tls: bool = False
    ca_file: str = ""
    """Certificates that are trusted; empty: the system's."""
    certificate_file: str = ""
    key_file: str = ""
    user: str = ""
    password_file: str = ""
    """Or the environment variable EDGE_DIGITS_MQTT_PASSWORD."""
    client_id: str = ""
    """Empty: edge-digits-NAME."""
    topic: str = ""
    """Below which everything is published; empty: edge-digits/NAME."""
    discovery: bool = True
    """Home Assistant's."""
    discovery_prefix: str = "homeassistant"
    commands: bool = False
    """Whether TOPIC/command is subscribed: "read" asks for a reading."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """[http]"""

    enabled: bool = True
    listen: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token_file: str = ""
    """Or the environment variable EDGE_DIGITS_TOKEN. Needed for any other address than this machine's own."""
    insecure: bool = False
    """No token although others can reach it."""
    hosts: tuple[str, ...] = ()
    """Names by which it is called, beside localhost, the address itself, and NAME.local."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """[webhook]"""

    url: str = ""
    token_file: str = ""
    """Sent as a bearer token. Or the environment variable EDGE_DIGITS_WEBHOOK_TOKEN."""
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class GpioSettings:
    """[gpio]: numbers of pins as the processor counts them (BCM); -1: none."""

    lamp: int = -1
    """Lit while a frame is taken."""
    lamp_seconds: float = 0.3
    """Before the frame is taken: so long the camera adapts."""
    button: int = -1
    """Asks for a reading."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """[log]"""

    level: str = "info"


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file. `path`: where it came from."""

    device: DeviceSettings = field(default_factory=DeviceSettings)
    source: SourceSettings = field(default_factory=SourceSettings)
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    fields: tuple[FieldSettings, ...] = ()
    store: StoreSettings = field(default_factory=StoreSettings)
    stdout: OutputSettings = field(default_factory=OutputSettings)
    mqtt: MqttSettings = field(default_factory=MqttSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    webhook: WebhookSettings = field(default_factory=WebhookSettings)
    gpio: GpioSettings = field(default_factory=GpioSettings)
    log: LogSettings = field(default_factory=LogSettings)
    path: Path | None = None
