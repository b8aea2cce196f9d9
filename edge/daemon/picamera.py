"""A Raspberry Pi's camera module, through picamera2: its grey plane, as the sensor gives it.

picamera2 and libcamera come from Raspberry Pi OS, not from a package registry, and are imported when it is opened.
Their manual: https://datasheets.raspberrypi.com/camera/picamera2-manual.pdf
"""

import os
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.capture import FRAME_SECONDS, Frame
from edge.daemon.settings import SourceSettings
from edge.errors import SourceError

Image = NDArray[np.uint8]

INSTALL = (
    "sudo apt install python3-picamera2 --no-install-recommends, "
    "and make the environment with python3 -m venv --system-site-packages"
)
# Formats that begin with the grey plane, a byte a pixel. A camera's driver may give another one than it is asked for.
ASKED_FORMAT = "YUV420"
GREY_FIRST = (ASKED_FORMAT, "YVU420", "NV12", "NV21")
BUFFERS = 4  # frames that the driver holds: enough for a steady pace, little of the memory that cameras can use
HALF_TURN = 180  # degrees
MICROSECONDS = 1_000_000  # a second
NANOSECOND = 1e-9  # seconds
QUIET = "*:WARN"  # what libcamera logs unless it is told otherwise


class PiCamera:
    """The newest frame, grey, of a camera that libcamera knows."""

    live = True

    def __init__(self, settings: SourceSettings, number: int = 0) -> None:
        """number: as `rpicam-hello --list-cameras` counts them."""
        self.name = f"picamera2 {number}"
        self._number = number
        self._settings = settings
        self._camera: Any = None
        self._width = self._height = 0
        self._sequence = 0

    def open(self) -> None:
        """Raises SourceError: no picamera2, no such camera, or it lacks what is configured."""
        self.close()
        picamera2, libcamera = self._imported()
        found = picamera2.Picamera2.global_camera_info()
        if self._number >= len(found):
            there = (
                f"there are {len(found)}, counted from 0" if found else "is its cable in, its contacts to the board?"
            )
            raise SourceError(f"{self.name}: no such camera; {there}")
        try:
            # It logs the reason, and another one than what it raises: somebody else has the camera.
            self._camera = picamera2.Picamera2(self._number)
            self._start(libcamera)
        except (RuntimeError, OSError, ValueError, IndexError) as error:
            self.close()
            raise SourceError(f"{self.name}: cannot be started: {error}; has another program the camera?") from None
        except SourceError:
            self.close()
            raise

    def _imported(self) -> tuple[Any, Any]:
        os.environ.setdefault("LIBCAMERA_LOG_LEVELS", QUIET)
        try:
            libcamera, picamera2 = import_module("libcamera"), import_module("picamera2")
        except ImportError as error:
            raise SourceError(f"{self.name}: {error}; {INSTALL}") from None
        except ValueError as error:  # its parts are compiled for another NumPy
            raise SourceError(f"{self.name}: picamera2 does not go with this NumPy ({error}); {INSTALL}") from None
        return picamera2, libcamera

    def _start(self, libcamera: Any) -> None:
        half = self._settings.rotate == HALF_TURN
        configuration = self._camera.create_video_configuration(
            main={"size": self._settings.size, "format": ASKED_FORMAT},
            transform=libcamera.Transform(hflip=int(half), vflip=int(half)),
            buffer_count=BUFFERS,
            queue=False,  # a frame that was there before it was asked for is not the newest
            controls=self._controls(libcamera.controls),
        )
        self._camera.configure(configuration)
        given = self._camera.camera_configuration()["main"]
        if given["format"] not in GREY_FIRST:
            raise SourceError(f'{self.name}: gives {given["format"]}, which has no grey plane; use kind = "camera"')
        self._width, self._height = given["size"]
        self._camera.start()

    def _controls(self, controls: Any) -> dict[str, Any]:
        """What the camera is told, checked against what it can do."""
        can = self._camera.camera_controls
        wanted = self._settings
        told: dict[str, Any] = {}
        if wanted.exposure_us:
            told["ExposureTime"] = self._checked("exposure_us", wanted.exposure_us, "ExposureTime")
        if wanted.gain:
            told["AnalogueGain"] = self._checked("gain", wanted.gain, "AnalogueGain")
        if len(told) == 2 and "AeEnable" in can:
            # With one of them fixed, the other goes on being automatic, which this would end.
            told["AeEnable"] = False
        if wanted.focus >= 0:
            lens = self._checked("focus", wanted.focus, "LensPosition")
            told |= {"AfMode": controls.AfModeEnum.Manual, "LensPosition": lens}
        elif "AfMode" in can:
            told["AfMode"] = controls.AfModeEnum.Continuous
        if "FrameDurationLimits" in can:  # else it has one pace, and keeps it
            # A frame lasts no shorter than its exposure; which would be cut down.
            duration = max(round(MICROSECONDS / wanted.rate), wanted.exposure_us)
            told["FrameDurationLimits"] = (duration, duration)
        return told

    def _checked(self, key: str, value: float, control: str) -> float:
        limits = self._camera.camera_controls.get(control)
        if limits is None:
            raise SourceError(f"{self.name}: source.{key} is set, and this camera has no {control}; leave it out")
        low, high = limits[0], limits[1]
        if not low <= value <= high:
            raise SourceError(f"{self.name}: source.{key} is {value:g}; this camera takes {low:g} to {high:g}")
        return value

    def read(self) -> Frame | None:
        """A frame that came after it was asked for; its picture is uint8 (height, width)."""
        try:
            (array,), metadata = self._camera.capture_arrays(["main"], wait=FRAME_SECONDS)
        except TimeoutError:
            # What still waits for a frame would keep the camera from being closed.
            self._camera.cancel_all_and_flush()
            raise SourceError(
                f"{self.name}: the camera stopped: no frame in {FRAME_SECONDS:g} s; is its cable loose?"
            ) from None
        except (RuntimeError, OSError) as error:
            raise SourceError(f"{self.name}: the camera stopped: {error}") from None
        image = grey_plane(array, self._width, self._height)
        frame = Frame(lambda: image, time.time() - _age(metadata), self._sequence)
        self._sequence += 1
        return frame

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            with suppress(RuntimeError, OSError):
                camera.close()


def grey_plane(array: Image, width: int, height: int) -> Image:
    """The grey picture, uint8 (height, width), in a frame of one of GREY_FIRST: no copy and no conversion.

    array: uint8 (rows, stride) as picamera2 gives it; rows may be longer than the picture, and colour comes below it.
    """
    return array[:height, :width]


def _age(metadata: dict[str, Any]) -> float:
    """Seconds since the frame was taken: since its first row was exposed, on the clock that counts from the start."""
    if "SensorTimestamp" not in metadata:
        return 0.0
    taken = metadata["SensorTimestamp"] * NANOSECOND
    return float(min(max(time.clock_gettime(time.CLOCK_BOOTTIME) - taken, 0.0), FRAME_SECONDS))
