"""What picamera2 and libcamera need in the emulated machine that a Pi's camera has: in the machine alone.

The product itself is not touched: it meets picamera2's interface, whose frames come from libcamera's virtual camera.
"""

# (what, why): listed beside the result.
LIST = (
    ("libcamera's virtual pipeline plays pictures", "there is no sensor"),
    ("`pykms`: an empty module", "kms++ is not in Debian; picamera2's preview on a screen alone uses it"),
    ("`pidng`: an empty module", "it has no wheel, and raw pictures alone use it"),
    ("`Picamera2._get_raw_modes` names one mode", "the virtual camera has no raw stream"),
    (
        "picamera2's allocator is its own `LibcameraAllocator`, whose `sync` maps plane 0 wholly",
        "the virtual camera leaves `bytes_used` at 0, and Debian's arm64 kernel has no dma-buf heaps",
    ),
    (
        "a drop-in for the unit: group `kvm`, DeviceAllow of /dev/udmabuf",
        "libcamera's virtual camera takes its buffers from there; a Pi's takes them from /dev/dma_heap",
    ),
    (
        "a udev rule: dma-buf heaps belong to group video",
        "Raspberry Pi OS has it (raspberrypi-sys-mods), Debian has not",
    ),
    (
        "WatchdogSec of 300 in place of 30, but for the watchdog's own test",
        "beside other work the emulated processor may stand still for longer",
    ),
    ("while /run/lab/hang is there, a frame does not come", "for the watchdog's test: a camera's driver that hangs"),
)

DIST_PACKAGES = "usr/local/lib/python3.13/dist-packages"
FRAME_SIZE = (640, 480)
# Few frames, slowly: libcamera holds all of them, 1.8 MB each, in the daemon's memory.
FRAME_RATE = 2
# libcamera 0.4: libcamera/src/libcamera/pipeline/virtual/README.md
VIRTUAL_CAMERA = f"""\
"Virtual0":
  supported_formats:
  - width: {FRAME_SIZE[0]}
    height: {FRAME_SIZE[1]}
    frame_rates: [{FRAME_RATE}, {FRAME_RATE}]
  frames:
    path: "/opt/frames/"
  location: "CameraLocationFront"
  model: "Virtual Digit Camera"
"""

PYKMS = '''\
"""Stands in for kms++."""


class _Any(type):
    def __getattr__(cls, name):
        return name


class PixelFormat(metaclass=_Any):
    pass
'''
PIDNG = '''\
"""Stands in for PiDNG."""


def __getattr__(name):
    return type(name, (), {})
'''
# Ends the machine's copy of picamera2/__init__.py.
PICAMERA2_END = "\nfrom lab_stand_ins import apply\n\napply()\n"
APPLY = f'''\
"""What a Pi's camera has and libcamera's virtual one has not."""

import mmap
import os
import time


def apply():
    import picamera2.picamera2 as module
    from picamera2.allocators.allocator import Sync
    from picamera2.allocators.libcameraallocator import LibcameraAllocator

    class WholePlane(Sync):
        def __init__(self, allocator, buffer, write):
            plane = buffer.planes[0]
            self._length = max(each.offset + each.length for each in buffer.planes)
            self._fd = plane.fd

        def __enter__(self):
            self._memory = mmap.mmap(self._fd, self._length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            return self._memory

        def __exit__(self, *_):
            # NumPy may still look at it: then it goes with the last look.
            try:
                self._memory.close()
            except BufferError:
                pass

        def get_buffer(self):
            return self.__enter__()

    class Allocator(LibcameraAllocator):
        def __init__(self, camera=None):
            super().__init__(camera)
            self.sync = WholePlane

        def close(self):
            pass

    original = module.Picamera2.__init__
    allocate = Allocator.allocate

    def with_camera(self, configuration, use_case):
        self.camera = self.owner.camera
        allocate(self, configuration, use_case)

    Allocator.allocate = with_camera

    def initialise(self, camera_num=0, verbose_console=None, tuning=None, allocator=None):
        mine = Allocator()
        mine.owner = self
        original(self, camera_num, verbose_console, tuning, mine)

    def none_yet():
        return Allocator()

    module.DmaAllocator = none_yet
    module.Picamera2.__init__ = initialise
    module.Picamera2._get_raw_modes = lambda self: [{{"format": "NV12", "size": {FRAME_SIZE}}}]

    capture = module.Picamera2.capture_arrays

    def capture_arrays(self, *arguments, **named):
        while os.path.exists("/run/lab/hang"):
            time.sleep(0.2)
        return capture(self, *arguments, **named)

    module.Picamera2.capture_arrays = capture_arrays
'''
UNIT_DROP_IN = """\
[Service]
SupplementaryGroups=kvm
DeviceAllow=/dev/udmabuf rw
WatchdogSec=300
"""
UDEV_RULE = """\
SUBSYSTEM=="dma_heap", GROUP="video", MODE="0660"
KERNEL=="udmabuf", GROUP="kvm", MODE="0660"
"""
