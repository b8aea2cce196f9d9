"""python -m tests.daemon.faults [--kills 200] [--seed 7] [--only kill,disk] [--short] [--jobs 2] [--json FILE]"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

from tests.daemon.faults.campaign import KILLS, NAMES, campaign
from tests.daemon.faults.result import Result, table


def main() -> int:
    """0 where nothing was lost, doubled, corrupt or crashed; 1 where something was."""
    parser = argparse.ArgumentParser(prog="python -m tests.daemon.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, metavar="N", help=f"how often it is killed: {KILLS}, or 20 with --short")
    parser.add_argument("--seed", type=int, help="of all that is random; another one each time unless it is given")
    parser.add_argument("--only", metavar="FAULTS", help=f"some of {','.join(NAMES)}")
    parser.add_argument("--short", action="store_true", help="as continuous integration runs it: three minutes")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="faults at the same time (default: 1)")
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    options = parser.parse_args()
    names = tuple(options.only.split(",")) if options.only else NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"there is no fault {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    start = time.monotonic()
    results: list[Result] = []
    for result in campaign(seed, names, kills=options.kills, short=options.short, jobs=options.jobs):
        results.append(result)
        _say(result)
    print(f"\n{table(results)}\n\nseed {seed}, {time.monotonic() - start:.0f} s")
    if options.json:
        said = {"seed": seed, "faults": [result.as_json() for result in results]}
        Path(options.json).write_text(json.dumps(said, indent=2) + "\n")
    return 1 if any(result.trouble for result in results) else 0


def _say(result: Result) -> None:
    """How a fault went, as soon as that is known."""
    if result.skipped:
        print(f"{result.fault}: skipped: {result.skipped}", flush=True)
        return
    print(
        f"{result.fault}: {result.times} times in {result.seconds:.0f} s, {result.compared.records} records, "
        f"{result.acknowledged} acknowledged",
        flush=True,
    )
    for line in (*result.notes, *(f"WRONG: {line}" for line in result.trouble)):
        print(f"  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
