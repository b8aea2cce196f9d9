"""SIGTERM at random moments, also while the camera or the broker hangs; SIGHUP with good and bad configurations."""

import random
import signal
import time

from tests.daemon.faults.bench import Bench
from tests.daemon.faults.camera import GOOD, SILENT
from tests.daemon.faults.process import END_SECONDS
from tests.daemon.faults.result import Result

TERM_FAULT = "SIGTERM"
HUP_FAULT = "SIGHUP, good and bad"
LATEST_SECONDS = 1.5  # after it is ready
HANGING = 0.3  # of the times the camera, or the broker, takes its connection and does not answer
LOADED_SECONDS = 20.0
STAYS, LOADED = "the configuration stays as it was", "the configuration was loaded again"

BAD = (
    "[reading]\ninterval = 'often'\n",
    "[reading\n",
    "[source]\nkind = 'telescope'\n",
    "[raeding]\ninterval = 1.0\n",
    "\x00\x01\x02",
)


def run_term(seed: int, times: int) -> Result:
    rng = random.Random(f"{seed} {TERM_FAULT}")
    with Bench(TERM_FAULT, seed) as bench:
        ends: list[float] = []
        for _ in range(times):
            bench.result.recovery.append(bench.start())
            hanging = rng.choice(("camera", "broker")) if rng.random() < HANGING else ""
            time.sleep(rng.uniform(0, LATEST_SECONDS))
            if hanging == "camera":
                bench.camera.mode = SILENT
            elif hanging == "broker":
                bench.broker.send(signal.SIGSTOP)
            if hanging:
                time.sleep(rng.uniform(0, LATEST_SECONDS))
            ended = bench.daemon.end(signal.SIGTERM)
            bench.camera.mode = GOOD
            bench.broker.send(signal.SIGCONT)
            bench.take_mqtt()
            where = f" while the {hanging} hangs" if hanging else ""
            if ended.status != 0:
                bench.result.crashes.append(f"status {ended.status} after SIGTERM{where}")
            bench.expect(ended.seconds <= END_SECONDS, f"SIGTERM took {ended.seconds:.2f} s{where}")
            ends.append(ended.seconds)
            bench.result.times += 1
        bench.result.notes.append(f"ended in {sorted(ends)[len(ends) // 2]:.2f} s, the longest {max(ends):.2f} s")
        bench.finish()
    return bench.result


def run_hup(seed: int, times: int) -> Result:
    rng = random.Random(f"{seed} {HUP_FAULT}")
    with Bench(HUP_FAULT, seed) as bench:
        bench.start()
        bench.daemon.wait_for_record(LOADED_SECONDS, "the first record")
        good = bench.daemon.config.read_text()
        answers: set[str] = set()
        for number in range(times):
            if rng.random() < 0.5:
                bench.daemon.config.write_text(rng.choice(BAD))
                _reload(bench, answers, STAYS)
            else:
                bench.daemon.config.write_text(_changed(good, rng, number))
                _reload(bench, answers, LOADED)
            seconds = bench.daemon.wait_for_record(LOADED_SECONDS, "a record after SIGHUP")
            bench.result.recovery.append(seconds)
            bench.expect_running()
            bench.result.times += 1
        bench.daemon.config.write_text(good)
        _reload(bench, answers, LOADED)
        bench.finish()
    return bench.result


def _changed(good: str, rng: random.Random, number: int) -> str:
    """Another configuration that is right: the camera, the reading, or the broker's client starts anew."""
    change = rng.choice(("interval", "frozen_seconds", "client_id", "level"))
    if change == "interval":
        return good.replace("interval = 0.05", f"interval = 0.0{rng.randint(4, 9)}")
    if change == "frozen_seconds":
        return good.replace("frozen_seconds = 1.0", f"frozen_seconds = {rng.randint(2, 9)}.5")
    if change == "client_id":
        return f'{good}client_id = "faults-{number}"\n'  # [mqtt] is the last section
    return f'{good}[log]\nlevel = "{rng.choice(("debug", "info"))}"\n'


def _reload(bench: Bench, answers: set[str], said: str) -> None:
    """Sends SIGHUP, and waits until that is done; what the log says to it, it says once a minute only."""
    start = bench.daemon.log.stat().st_size
    bench.daemon.reload(LOADED_SECONDS)
    if said not in answers:
        answers.add(said)
        bench.expect(said in bench.daemon.log.read_text(errors="replace")[start:], f"the log does not say: {said}")
