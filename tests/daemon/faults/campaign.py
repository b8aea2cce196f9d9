"""All faults one after the other."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from tests.daemon.faults import broker, clock, disk, folder, kills, requests, signals, source
from tests.daemon.faults.result import Result

KILLS = 200
SHORT_KILLS = 20


@dataclass(frozen=True, slots=True)
class Fault:
    """`run(seed, times)` does it; `times`: how often in a full campaign, `short`: in the short one."""

    name: str
    run: Callable[[int, int], Result]
    times: int
    short: int


FAULTS = (
    Fault("kill", kills.run, KILLS, SHORT_KILLS),
    Fault("folder", folder.run, 40, 4),
    Fault("broker", broker.run, 20, 2),
    Fault("source", source.run, 5, 1),
    Fault("disk", disk.run, 10, 2),
    Fault("clock", clock.run, 30, 4),
    Fault("requests", requests.run, 10_000, 500),
    Fault("term", signals.run_term, 60, 5),
    Fault("hup", signals.run_hup, 40, 6),
)
NAMES = tuple(fault.name for fault in FAULTS)


def campaign(
    seed: int, names: Sequence[str] = NAMES, *, kills: int | None = None, short: bool = False, jobs: int = 1
) -> Iterator[Result]:
    """The faults' results in their order. kills: another number of them. jobs: faults at the same time."""
    chosen = [fault for fault in FAULTS if fault.name in names]
    times = [fault.short if short else fault.times for fault in chosen]
    if kills is not None:
        times = [kills if fault.name == "kill" else count for fault, count in zip(chosen, times, strict=True)]
    if jobs == 1:
        yield from map(_timed, chosen, [seed] * len(chosen), times)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        yield from pool.map(_timed, chosen, [seed] * len(chosen), times)


def _timed(fault: Fault, seed: int, times: int) -> Result:
    start = time.monotonic()
    result = fault.run(seed, times)
    result.seconds = time.monotonic() - start
    return result
