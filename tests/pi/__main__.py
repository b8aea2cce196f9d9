"""`make test-pi`: the short form; FULL=1 for the full one. Where it cannot be done, it says why and ends with 0."""

import argparse
import ctypes
import math
import os
import signal
import subprocess
import sys
import time

from tests.pi.lab import LAB, ROOT, UNTIL, missing, sweep

PR_SET_PDEATHSIG = 1  # prctl(2)
# What is started in it, and what is mounted, ends with it, however it ends.
APART = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.pi", description="Try the product on emulated Raspberry Pis."
    )
    parser.add_argument("--full", action="store_true", help="the aarch64 machine and 50 power cuts as well: hours")
    parser.add_argument(
        "--prepare", action="store_true", help="only make what the machine of the short form starts from"
    )
    parser.add_argument("rest", nargs="*", help="for pytest, after --")
    options = parser.parse_args()
    why = missing(options.full)
    if why:
        print("test-pi: skipped, for it cannot be done here:", *(f"  - {line}" for line in why), sep="\n")
        return 0
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # and it ends with who started it
    LAB.mkdir(parents=True, exist_ok=True)
    sweep()
    environment = os.environ | {"EDGE_DIGITS_TEST_PI": "full" if options.full else "short"}
    if options.prepare:
        words = [sys.executable, "-m", "tests.pi.machine", "x86_64"]
    else:
        words = [sys.executable, "-m", "pytest", "--durations=0", "-v", "-p", "no:cacheprovider"]
        words += options.rest or ["tests/pi"]
    words = ["nice", "-n", "10", *words]  # the emulators take all the cores they get
    # The tests end in time by themselves (conftest.py).
    left = None if math.isinf(UNTIL) or not options.prepare else max(UNTIL - time.time(), 0)
    try:
        return subprocess.run([*APART, *words], cwd=ROOT, env=environment, timeout=left).returncode
    except subprocess.TimeoutExpired:
        print("test-pi: the time that it was given is over, and the machine was not made")
        return 0


if __name__ == "__main__":
    sys.exit(main())
