"""`kill -9` while a folder fills: each picture is taken once, whatever happens."""

import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

from tests.daemon.faults.bench import Bench
from tests.daemon.faults.camera import pictures
from tests.daemon.faults.process import wait_until
from tests.daemon.faults.result import Result

FAULT = "kill -9 while a folder fills"
LATEST_SECONDS = 1.5  # after it is ready
PAUSE_SECONDS = 0.2  # between two pictures
TAKEN_SECONDS = 180.0  # for all pictures to be read in the end


def run(seed: int, kills: int) -> Result:
    rng = random.Random(f"{seed} {FAULT}")
    with Bench(FAULT, seed, source={"kind": "folder", "location": "", "rate": 10}) as bench:
        inbox, done = bench.folder / "inbox", bench.folder / "done"
        inbox.mkdir()
        moves = rng.random() < 0.5
        bench.settings["source"] |= {"location": str(inbox), "done": str(done) if moves else ""}
        bench.daemon.configure(bench.settings)
        filler = _Filler(inbox)
        filler.start()
        for _ in range(kills):
            bench.daemon.start()
            bench.result.recovery.append(bench.daemon.wait_ready())
            time.sleep(rng.uniform(0, LATEST_SECONDS))
            status = bench.daemon.status
            if bench.daemon.end(signal.SIGKILL).status != -signal.SIGKILL:
                bench.result.crashes.append(f"the daemon ended by itself with status {status}")
            bench.take_mqtt()
            bench.result.times += 1
        filler.stop()
        bench.start()
        wait_until(lambda: bench.daemon.sequence() >= len(filler.written), TAKEN_SECONDS, "every picture is read")
        time.sleep(1)  # for a second record of one, if there is any
        result = bench.finish()
        taken = Counter(Path(record["path"]).name for record in bench.account.records() if record["path"])
        result.compared.doubled += [f"{name} has {count} records" for name, count in taken.items() if count > 1]
        result.compared.lost += [f"{name} has no record" for name in filler.written if name not in taken]
        result.notes.append(f"{len(filler.written)} pictures, {'moved' if moves else 'remembered'} when they were read")
    return bench.result


class _Filler(threading.Thread):
    """Puts pictures into a folder, in two writes each, as cameras do that upload them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.written: list[str] = []
        self._folder = folder
        self._stopping = threading.Event()

    def run(self) -> None:
        files = pictures()
        while not self._stopping.wait(PAUSE_SECONDS):
            picture = files[len(self.written) % len(files)]
            name = f"{len(self.written):05}.jpg"
            with (self._folder / name).open("wb") as file:
                file.write(picture[: len(picture) // 2])
                file.flush()
                file.write(picture[len(picture) // 2 :])
            self.written.append(name)

    def stop(self) -> None:
        self._stopping.set()
        self.join()
