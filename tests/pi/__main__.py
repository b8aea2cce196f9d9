"""`make test-pi`: the short form; FULL=1 for the full one. Where it cannot be done, it says why and ends with 0."""

import argparse
import os
import subprocess
import sys

from tests.pi.lab import LAB, ROOT, missing


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.pi", description="Try the product on emulated Raspberry Pis."
    )
    parser.add_argument("--full", action="store_true", help="the aarch64 machine and 50 power cuts as well: hours")
    parser.add_argument("rest", nargs="*", help="for pytest, after --")
    options = parser.parse_args()
    why = missing()
    if why:
        print("test-pi: skipped, for it cannot be done here:", *(f"  - {line}" for line in why), sep="\n")
        return 0
    LAB.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"EDGE_DIGITS_TEST_PI": "full" if options.full else "short"}
    tests = options.rest or ["tests/pi"]
    # The emulators take all the cores they get.
    words = ["nice", "-n", "10", sys.executable, "-m", "pytest", "--durations=0", "-v", *tests]
    return subprocess.run(words, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
