"""The camera dies, freezes, sends what is no picture, or takes a connection and says nothing."""

import random
import time

from tests.daemon.faults.bench import Bench
from tests.daemon.faults.camera import FROZEN, GARBAGE, GOOD, REFUSING, SILENT, TORN
from tests.daemon.faults.process import wait_until
from tests.daemon.faults.result import Result

FAULT = "source dies, freezes, sends rubbish, is silent"
CLOSED = "closed"
NOTICED_SECONDS = 20.0  # until the health says so: a stream that is silent is given up after 5
BACK_SECONDS = 30.0
RUBBISH_SECONDS = 3.0
RUBBISH = (GARBAGE, TORN)  # of which some may look like a picture: that it is noticed is not sure


def run(seed: int, rounds: int) -> Result:
    rng = random.Random(f"{seed} {FAULT}")
    with Bench(FAULT, seed, visitors=1) as bench:
        bench.start()
        bench.daemon.wait_for_record(BACK_SECONDS, "the first record")
        noticed: dict[str, float] = {}
        back: dict[str, float] = {}
        for _ in range(rounds):
            modes = [CLOSED, FROZEN, GARBAGE, TORN, SILENT, REFUSING]
            rng.shuffle(modes)
            for mode in modes:
                _break(bench, mode)
                if mode in RUBBISH:
                    time.sleep(RUBBISH_SECONDS)
                else:
                    seconds = wait_until(
                        lambda: bench.daemon.part("source")[0] not in ("working", ""), NOTICED_SECONDS,
                        f"the health says that the source is {mode}",
                    )  # fmt: skip
                    noticed[mode] = max(noticed.get(mode, 0.0), seconds)
                bench.expect_running()
                if mode == CLOSED:
                    bench.camera.open()
                bench.camera.mode = GOOD
                seconds = bench.daemon.wait_for_record(BACK_SECONDS, f"a record after the source was {mode}")
                seconds += wait_until(
                    lambda: bench.daemon.part("source")[0] == "working", BACK_SECONDS, f"the source works after {mode}"
                )
                back[mode] = max(back.get(mode, 0.0), seconds)
                bench.result.recovery.append(seconds)
                bench.result.times += 1
        bench.result.notes.append("noticed after, s: " + ", ".join(f"{m} {s:.1f}" for m, s in sorted(noticed.items())))
        bench.result.notes.append("back after, s: " + ", ".join(f"{m} {s:.1f}" for m, s in sorted(back.items())))
        bench.finish()
    return bench.result


def _break(bench: Bench, mode: str) -> None:
    if mode == CLOSED:
        bench.camera.close()
        return
    bench.camera.mode = mode
    if mode == REFUSING:
        bench.camera.hang_up()
