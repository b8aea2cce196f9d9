"""Camera modules, with stand-ins for picamera2 and libcamera that know the calls of 0.3.38 and their rules."""

import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.daemon.cameras import open_camera
from edge.daemon.picamera import PiCamera, grey_plane
from edge.daemon.settings import SourceSettings
from edge.errors import SourceError
from tests.daemon.pictures import NoPictures

CONTROLS = {  # lowest, highest, default
    "ExposureTime": (26, 1_722_099, 20_000),
    "AnalogueGain": (1.0, 16.0, 1.0),
    "AeEnable": (False, True, True),
    "FrameDurationLimits": (8_333, 120_000_000, 33_333),
}
FOCUS = {"AfMode": (0, 2, 0), "LensPosition": (0.0, 15.0, 1.0)}


class Transform:
    def __init__(self, hflip: int = 0, vflip: int = 0) -> None:
        self.flips = hflip, vflip


class Picamera2:
    """One camera; frames in one buffer that is used again, rows longer than the picture."""

    cameras = 1
    camera_controls: dict[str, Any] = CONTROLS | FOCUS
    padding = 64
    gives = "YUV420"
    busy = silent = False
    opened: "list[Picamera2]" = []  # noqa: RUF012

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [{"Model": "imx708", "Num": number} for number in range(Picamera2.cameras)]

    def __init__(self, camera_num: int = 0) -> None:
        if self.busy:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.calls: list[str] = ["open"]
        self.configuration: dict[str, Any] | None = None
        self.jobs = 0
        self.frames = 0
        Picamera2.opened.append(self)

    def create_video_configuration(
        self, main: dict[str, Any], transform: Transform, buffer_count: int, queue: bool, controls: dict[str, Any]
    ) -> dict[str, Any]:
        for name in controls:
            if name not in self.camera_controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        return {"main": main, "transform": transform, "queue": queue, "controls": controls}

    def configure(self, configuration: dict[str, Any]) -> None:
        width, height = configuration["main"]["size"]
        width -= width % 2  # align_stream
        stride = width + self.padding
        self.configuration = configuration | {
            "main": {"size": (width, height), "format": self.gives, "stride": stride, "framesize": 0}
        }
        self.buffer = np.zeros((height * 3 // 2, stride), np.uint8)

    def camera_configuration(self) -> dict[str, Any]:
        assert self.configuration is not None
        return self.configuration

    def start(self) -> None:
        self.calls.append("start")

    def capture_arrays(self, names: list[str], wait: float) -> tuple[list[np.ndarray], dict[str, Any]]:
        assert names == ["main"] and "start" in self.calls
        self.jobs += 1
        if self.silent:
            raise TimeoutError
        self.jobs -= 1
        width, height = self.camera_configuration()["main"]["size"]
        self.buffer[:height, :width] = self.frames + 1
        self.buffer[:height, width:] = 99  # padding
        self.buffer[height:] = 128  # colour
        self.frames += 1
        stamp = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 200_000_000
        return [np.copy(self.buffer)], {"SensorTimestamp": stamp}

    def cancel_all_and_flush(self) -> None:
        self.jobs = 0

    def close(self) -> None:
        assert self.jobs == 0, "the real one would wait for the job forever"
        self.calls.append("close")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> type[Picamera2]:
    fake = type("Picamera2", (Picamera2,), {})
    module, libcamera = ModuleType("picamera2"), ModuleType("libcamera")
    module.Picamera2 = fake  # type: ignore[attr-defined]
    libcamera.Transform = Transform  # type: ignore[attr-defined]
    modes = SimpleNamespace(Manual="manual", Auto="auto", Continuous="continuous")
    libcamera.controls = SimpleNamespace(AfModeEnum=modes)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    monkeypatch.setattr(Picamera2, "opened", [])
    monkeypatch.setattr(Picamera2, "cameras", 1)
    return fake


def settings(**changed: Any) -> SourceSettings:
    return SourceSettings(kind="picamera2", **({"size": (64, 48), "rate": 10.0} | changed))


def told(**changed: Any) -> dict[str, Any]:
    """The controls that a camera gets."""
    camera = PiCamera(settings(**changed))
    camera.open()
    controls: dict[str, Any] = Picamera2.opened[-1].camera_configuration()["controls"]
    camera.close()
    return controls


def test_the_grey_plane_is_cut_out_without_a_copy() -> None:
    array = np.arange(72 * 128, dtype=np.uint64).astype(np.uint8).reshape(72, 128)  # 48 rows of grey, 100 wide
    grey = grey_plane(array, 100, 48)
    assert grey.shape == (48, 100)
    assert np.shares_memory(grey, array)
    assert grey[3, 99] == array[3, 99] and grey[47, 0] == array[47, 0]


@pytest.mark.parametrize("gives", ["YUV420", "NV12"])
def test_frames_are_grey_and_stay_as_they_are(installed: type[Picamera2], gives: str) -> None:
    installed.gives = gives
    camera = PiCamera(settings(size=(65, 48)))
    camera.open()
    first, second = camera.read(), camera.read()
    assert first is not None and second is not None
    assert first.load().shape == (48, 64), "the size that the camera made of it"
    assert (first.load() == 1).all() and (second.load() == 2).all()
    assert (first.sequence, second.sequence) == (0, 1)
    assert time.time() - first.time == pytest.approx(0.2, abs=0.15), "when the sensor took it"
    camera.close()
    assert Picamera2.opened[0].calls == ["open", "start", "close"]


def test_the_camera_is_told_what_is_configured() -> None:
    pace = (100_000, 100_000)
    assert told() == {"AfMode": "continuous", "FrameDurationLimits": pace}
    assert told(focus=2.5) == {"AfMode": "manual", "LensPosition": 2.5, "FrameDurationLimits": pace}
    assert told(exposure_us=5000, gain=2.0, focus=0.0) == {
        "ExposureTime": 5000, "AnalogueGain": 2.0, "AeEnable": False, "AfMode": "manual", "LensPosition": 0.0,
        "FrameDurationLimits": pace,
    }  # fmt: skip
    assert "AeEnable" not in told(exposure_us=5000), "its gain stays automatic"
    assert told(exposure_us=500_000)["FrameDurationLimits"] == (500_000, 500_000), "or the exposure were cut short"


def test_a_camera_without_focus_or_pace_is_not_told_of_them(installed: type[Picamera2]) -> None:
    installed.camera_controls = {}
    assert told() == {}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"exposure_us": 5000}, "source.exposure_us is set, and this camera has no ExposureTime; leave it out"),
        ({"gain": 2.0}, "source.gain is set, and this camera has no AnalogueGain; leave it out"),
        ({"focus": 2.0}, "source.focus is set, and this camera has no LensPosition; leave it out"),
    ],
)
def test_a_control_that_the_camera_lacks_is_one_clear_error(
    installed: type[Picamera2], changed: dict[str, Any], says: str
) -> None:
    installed.camera_controls = {}
    with pytest.raises(SourceError) as error:
        PiCamera(settings(**changed)).open()
    assert str(error.value) == f"picamera2 0: {says}"
    assert Picamera2.opened[0].calls[-1] == "close", "others can have the camera"


def test_a_value_beyond_what_the_camera_can_do_is_one_clear_error() -> None:
    with pytest.raises(SourceError, match=r"source\.gain is 40; this camera takes 1 to 16"):
        PiCamera(settings(gain=40.0)).open()


def test_half_a_turn_is_the_cameras_and_a_quarter_is_not() -> None:
    for rotate, flips, shape in ((0, (0, 0), (48, 64)), (90, (0, 0), (64, 48)), (180, (1, 1), (48, 64))):
        source = open_camera(settings(rotate=rotate), NoPictures())
        source.open()
        frame = source.read()
        assert frame is not None and frame.load().shape == shape
        assert Picamera2.opened[-1].camera_configuration()["transform"].flips == flips
        source.close()


def test_a_camera_that_stops_is_one_clear_error_and_can_be_closed(installed: type[Picamera2]) -> None:
    camera = PiCamera(settings())
    camera.open()
    Picamera2.opened[0].silent = True
    with pytest.raises(SourceError, match=r"the camera stopped: no frame in 5 s; is its cable loose\?"):
        camera.read()
    camera.close()
    camera.open()
    assert camera.read() is not None
    camera.close()


def test_no_camera_and_one_that_is_taken_are_one_clear_error_each(installed: type[Picamera2]) -> None:
    with pytest.raises(SourceError, match="picamera2 1: no such camera; there are 1, counted from 0"):
        PiCamera(settings(), 1).open()
    Picamera2.cameras = 0
    with pytest.raises(SourceError, match="picamera2 0: no such camera; is its cable in"):
        PiCamera(settings()).open()
    Picamera2.cameras = 1
    installed.busy = True
    with pytest.raises(SourceError, match=r"cannot be started: .*; has another program the camera"):
        PiCamera(settings()).open()


def test_a_format_without_a_grey_plane_is_one_clear_error(installed: type[Picamera2]) -> None:
    installed.gives = "MJPEG"
    with pytest.raises(SourceError, match='gives MJPEG, which has no grey plane; use kind = "camera"'):
        PiCamera(settings()).open()


def test_without_picamera2_the_error_says_how_to_install_it() -> None:
    code = """if True:
        import sys
        from edge.daemon.cameras import open_camera
        from edge.daemon.settings import SourceSettings
        from edge.errors import SourceError
        source = open_camera(SourceSettings(kind="picamera2"), None)
        assert not {"picamera2", "libcamera"} & set(sys.modules)
        try:
            source.open()
        except SourceError as error:
            print(error)
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.count("\n") == 1 and not run.stderr
    assert "sudo apt install python3-picamera2 --no-install-recommends" in run.stdout
    assert "--system-site-packages" in run.stdout


def test_a_picamera2_for_another_numpy_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libcamera.py").write_text("raise ValueError('numpy.dtype size changed')")
    monkeypatch.delitem(sys.modules, "libcamera")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SourceError, match=r"does not go with this NumPy .numpy.dtype size changed"):
        PiCamera(settings()).open()
