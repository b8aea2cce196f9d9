"""`kill -9` at random moments: while it reads, while it starts, while it ends."""

import random
import signal
import time

from tests.daemon.faults.bench import Bench
from tests.daemon.faults.result import Result

FAULT = "kill -9"
LATEST_SECONDS = 1.5  # after it is ready
STARTING, ENDING = 0.15, 0.15  # of all kills
START_SECONDS = 1.2  # about what a start takes: a kill within them hits it
END_SECONDS = 0.3  # the same of an end
WHOLE_LOOK = 10  # kills between two looks into the whole database


def run(seed: int, kills: int) -> Result:
    rng = random.Random(f"{seed} {FAULT}")
    with Bench(FAULT, seed) as bench:
        phases = {"starting": 0, "reading": 0, "ending": 0}
        for number in range(1, kills + 1):
            phase = rng.random()
            bench.daemon.start()
            if phase < STARTING:
                phases["starting"] += 1
                time.sleep(rng.uniform(0, START_SECONDS))
            else:
                bench.result.recovery.append(bench.daemon.wait_ready())
                time.sleep(rng.uniform(0, LATEST_SECONDS))
                ends = phase > 1 - ENDING
                phases["ending" if ends else "reading"] += 1
                if ends:
                    bench.daemon.send(signal.SIGTERM)
                    time.sleep(rng.uniform(0, END_SECONDS))
            status = bench.daemon.status
            ended = bench.daemon.end(signal.SIGKILL)
            if ended.status != -signal.SIGKILL and not (phase > 1 - ENDING and ended.status == 0):
                bench.result.crashes.append(f"status {status} before kill {number}")
            bench.take_mqtt()
            bench.result.times += 1
            if number % WHOLE_LOOK == 0:
                found = bench.account.compare(bench.state)
                if found.lost or found.corrupt or found.different:
                    bench.result.failures.append(f"something was wrong after kill {number}: seed {seed}")
                    break
        bench.start()
        bench.result.notes.append(", ".join(f"{count} {phase}" for phase, count in phases.items()))
        bench.finish()
    return bench.result
