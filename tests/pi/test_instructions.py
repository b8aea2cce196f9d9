"""What reading costs an aarch64 core, in instructions: an emulated one says nothing of time, but it counts.

On a machine whose clock goes a nanosecond further with each instruction, `edge-digits bench` says millions of
instructions where it says milliseconds.
"""

import json
from collections.abc import Iterator

import pytest

from tests.pi.conftest import full_form
from tests.pi.lab import bundles
from tests.pi.machine import Machine, machine
from tests.pi.report import Report

TABLE = "Instructions on aarch64, in millions, as the cores' own `edge-digits bench` counts them"
TARGET = "debian13-aarch64"
PACKAGES = "/opt/packages"
BENCH_SECONDS = 4  # of that clock: 4e9 instructions for each part
LONG = 1e6  # seconds: this clock jumps where others wait

UNPACK = f"""
cd /root && tar -xzf edge-digits-*.tar.gz && mkdir {PACKAGES}
for wheel in edge-digits-*/wheels/*.whl; do python3 -m zipfile -e $wheel {PACKAGES}; done
"""


@pytest.fixture(scope="module")
def device() -> Iterator[Machine]:
    archive = bundles([TARGET])[TARGET]
    with machine("aarch64") as made:
        made.put({f"/root/{archive.name}": archive})
        made.start()
        made.shell(f"{UNPACK}\npython3 -m compileall -q {PACKAGES}; sync")
        made.cut_power()
        yield made


@full_form
@pytest.mark.parametrize("core", ["cortex-a53", "cortex-a72", "cortex-a76"])
def test_what_reading_costs_is_counted(core: str, device: Machine, report: Report) -> None:
    device.start(core, counting=True)
    try:
        command = f"cd /tmp && PYTHONPATH={PACKAGES} python3 -m edge bench --json --seconds {BENCH_SECONDS}"
        found = json.loads(device.shell(command, seconds=LONG))
    finally:
        device.shell("sync", works=False, seconds=LONG)
        device.cut_power()
    glyph = next(row for row in found["classify"] if row["threads"] == 1)
    for row in found["read"]:
        assert row["right"], row
        report.add(
            TABLE,
            core=core,
            picture=f"{row['width']}×{row['height']}{', on a desk' * row['desk']}",
            decode=f"{row['decode_ms']:.1f}",
            segment=f"{row['segment_ms']:.1f}",
            classify=f"{row['classify_ms']:.1f}",
            **{"in all": f"{row['read_ms']:.1f}", "one glyph": f"{glyph['wall_us'] / 1000:.2f}"},
        )
