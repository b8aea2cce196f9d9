"""The broker is killed, with messages on their way, stays away and comes back."""

import random
import signal
import time

from tests.daemon.faults.bench import Bench
from tests.daemon.faults.process import wait_until
from tests.daemon.faults.result import Result

FAULT = "broker killed and away"
FLOW_SECONDS = 2.0  # at most, between two outages
STOPPED_SECONDS = 0.7  # at most: so long it takes messages and acknowledges none before it is killed
AWAY_SECONDS = 4.0  # at most
LONG_AWAY_SECONDS = 15.0  # once, in a campaign of MANY outages
MANY = 10


def run(seed: int, outages: int) -> Result:
    rng = random.Random(f"{seed} {FAULT}")
    with Bench(FAULT, seed) as bench:
        bench.start()
        for number in range(outages):
            time.sleep(rng.uniform(0, FLOW_SECONDS))
            if rng.random() < 0.5:
                bench.broker.send(signal.SIGSTOP)
                time.sleep(rng.uniform(0, STOPPED_SECONDS))
            bench.broker.kill()
            bench.result.times += 1
            if number == outages // 2:  # the daemon, too, starts anew meanwhile
                bench.daemon.end(signal.SIGKILL)
                bench.start()
                time.sleep(LONG_AWAY_SECONDS if outages >= MANY else 0)
            time.sleep(rng.uniform(0, AWAY_SECONDS))
            bench.expect_running()
            bench.broker.start()
            bench.result.recovery.append(bench.wait_delivered())
            # What it acknowledges while nobody is subscribed would be lost by its next death, not by the daemon.
            wait_until(bench.subscriber.ready.is_set, 20, "the subscriber is back")
            here = bench.account.count("mqtt")
            wait_until(lambda here=here: bench.take_mqtt() or bench.account.count("mqtt") > here, 20, "records arrive")
        bench.finish()
    return bench.result
