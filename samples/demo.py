"""Reads the sample pictures and says in plain words what came out. What `make demo` runs.

Needs the device's packages alone, and asks the command that a person would use.
"""

import csv
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

SAMPLES = Path(__file__).parent
COMMAND = [sys.executable, "-m", "edge", "classify", "--format", "jsonl"]


def main() -> int:
    with open(SAMPLES / "answers.csv", encoding="utf-8", newline="") as file:
        truths = list(csv.DictReader(file))
    paths = [str(SAMPLES / truth["file"]) for truth in truths]
    column = max(len(truth["picture"]) for truth in truths)
    print(f"Edge Digits names the handwritten digit in a picture. Here are {len(paths)} pictures:\n", flush=True)
    start = time.perf_counter()
    run = subprocess.run([*COMMAND, *paths], cwd=SAMPLES.parent, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    if len(answers) != len(truths):
        command = shlex.join([*COMMAND, "samples"])
        print(f"The demo did not get its answers. Try it by hand: {command}", file=sys.stderr)
        return 1

    wrong = []
    for truth, answer in zip(truths, answers, strict=True):
        label, confidence = answer.get("label"), answer.get("confidence", 0.0)
        said = answer.get("error") or (f"{label}  ({confidence:.1%})" if label is not None else "no digit in it")
        right = "error" not in answer and (label or "") == truth["label"]
        if not right:
            wrong.append(truth["file"])
        mark = "" if right else f"   <- it is {truth['label'] or 'no digit'}"
        print(f"  {truth['picture']:<{column}} {truth['file']:<18} -> {said}{mark}")

    print()
    if wrong:
        print(f"{len(wrong)} of {len(truths)} came out wrong: {', '.join(wrong)}.")
        return 1
    print(f"All {len(truths)} right, in {seconds:.1f} s from start to end, on this machine alone.")
    print("The percentage is how sure it is.\n")
    print("Now one of yours:      make classify IMAGES=photo.jpg")
    print("Check everything:      make test")
    print("Train it yourself:     make train convert")
    return 0


if __name__ == "__main__":
    sys.exit(main())
