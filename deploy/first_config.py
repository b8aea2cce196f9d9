"""The first configuration of a device: the example with the camera that is there, and the page for the whole network.

`first_config.py EXAMPLE OUT TOKEN_FILE [CAMERA]` writes OUT and says which camera it named. CAMERA is "auto",
"picamera2", "synthetic", or a V4L2 device such as /dev/video0.
"""

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

LOOK_SECONDS = 90  # libcamera, on a slow card, the first time: it took over 30 on an emulated board

# VIDIOC_QUERYCAP and its flags: linux/videodev2.h
QUERYCAP = 0x80685600
CAPABILITY = struct.Struct("=16s32s32s3I12x")  # driver, card, bus, version, capabilities, those of this device
CAPTURE, DEVICE_CAPABILITIES = 0x00000001, 0x80000000
# On a Raspberry Pi these drivers are codecs, and the sensor's raw end that libcamera drives.
NO_CAMERAS = ("bcm2835-codec", "bcm2835-isp", "unicam", "rp1-cfe", "pispbe", "rpi-hevc-dec", "rpivid")

# Asked in a process of its own: what libcamera does at worst is its own end. USB cameras are for V4L2: they have no
# grey plane.
LIST_CAMERAS = """
from picamera2 import Picamera2
for number, camera in enumerate(Picamera2.global_camera_info()):
    if "usb" not in camera.get("Id", "").lower():
        print("edge-digits", number, camera.get("Model", "?"))
"""


def picamera() -> tuple[str, str] | None:
    """Number and model of the first camera module."""
    try:
        asked = [sys.executable, "-I", "-c", LIST_CAMERAS]
        quiet = os.environ | {"LIBCAMERA_LOG_LEVELS": "*:ERROR"}
        said = subprocess.run(asked, env=quiet, capture_output=True, text=True, timeout=LOOK_SECONDS).stdout
    except subprocess.TimeoutExpired:
        print(f"the camera module did not answer in {LOOK_SECONDS} seconds: it is left out", file=sys.stderr)
        return None
    except OSError:
        return None
    found = re.search(r"^edge-digits (\d+) (.*)$", said, re.MULTILINE)
    return (found[1], found[2]) if found else None


def v4l2(devices: Path = Path("/dev")) -> tuple[str, str] | None:
    """Path and name of the first camera that V4L2 has."""
    for path in sorted(devices.glob("video*"), key=lambda path: (len(path.name), path.name)):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
            try:
                answer = fcntl.ioctl(handle, QUERYCAP, bytes(CAPABILITY.size))
            finally:
                os.close(handle)
            name = camera_name(answer)
            if name is not None:
                return str(path), name
    return None


def camera_name(answer: bytes) -> str | None:
    """What VIDIOC_QUERYCAP's answer calls a camera; None where it is none."""
    driver, card, _, _, capabilities, of_device = CAPABILITY.unpack(answer)
    if not (of_device if capabilities & DEVICE_CAPABILITIES else capabilities) & CAPTURE:
        return None
    if driver.rstrip(b"\0").decode(errors="replace") in NO_CAMERAS:
        return None
    return card.split(b"\0")[0].decode(errors="replace")


def choose(camera: str) -> tuple[str, str, str]:
    """Kind and location for [source], and what to tell the person."""
    if camera == "synthetic":
        return "synthetic", "", "the built-in demonstration"
    if camera.startswith("/"):
        return "camera", camera, f"the camera {camera}"
    found = picamera() if camera in ("auto", "picamera2") else None
    if found or camera == "picamera2":
        number, model = found or ("0", "not found yet")
        return "picamera2", "" if number == "0" else number, f"the camera module {number} ({model}), by picamera2"
    found = v4l2()
    if found:
        return "camera", found[0], f"the camera {found[0]} ({found[1]}), by V4L2"
    return "synthetic", "", "no camera was found: the built-in demonstration"


def fill_in(example: str, values: dict[tuple[str, str], str]) -> str:
    """The example with these values of {(section, key): text}, its comments kept."""
    section, lines, missing = "", [], set(values)
    for line in example.splitlines():
        if found := re.match(r"\[(\w+)\]", line):
            section = found[1]
        if found := re.match(r'(\w+) = "[^"]*"', line):
            where = (section, found[1])
            if where in missing:
                missing.remove(where)
                line = f'{found[1]} = "{values[where]}"{line[found.end() :]}'
        lines.append(line)
    if missing:
        raise SystemExit(f"first_config: the example has no {sorted(missing)}")
    return "\n".join(lines) + "\n"


def main(example: str, out: str, token_file: str, camera: str = "auto") -> None:
    kind, location, said = choose(camera)
    values = {
        ("source", "kind"): kind,
        ("source", "location"): location,
        ("http", "listen"): "0.0.0.0",
        ("http", "token_file"): token_file,
    }
    text = fill_in(Path(example).read_text(), values)
    with open(out, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    print(said)


if __name__ == "__main__":
    main(*sys.argv[1:])
