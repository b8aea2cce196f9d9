"""Reads the sample pictures and says in plain words what came out. What `make demo` runs.

Needs the device's packages alone, and asks the commands that a person would use.
"""

import csv
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent
COMMAND = [sys.executable, "-m", "edge"]

Record = dict[str, Any]


class NoAnswer(Exception):
    """The command said nothing, or not enough."""


def main() -> int:
    start = time.perf_counter()
    print("Edge Digits reads handwritten digits.\n", flush=True)
    try:
        wrong, count = digits()
        more, pages = numbers()
    except NoAnswer as error:
        print(f"The demo did not get its answers. Try it by hand: {error}", file=sys.stderr)
        return 1
    wrong, count = wrong + more, count + pages
    if wrong:
        print(f"{len(wrong)} of {count} came out wrong: {', '.join(wrong)}.")
        return 1
    print(f"All {count} right, in {time.perf_counter() - start:.1f} s from start to end, on this machine alone.")
    print("The percentage is how sure it is.\n")
    print("Now one of yours:      make read IMAGES=photo.jpg")
    print("Check everything:      make test")
    print("Train it yourself:     make train convert")
    return 0


def digits() -> tuple[list[str], int]:
    """Names the digit in each picture of one; returns the names of the wrong ones, and how many there are."""
    truths = answers(SAMPLES)
    column = max(len(truth["picture"]) for truth in truths)
    print(f"It names the digit in a picture. Here are {len(truths)}:\n", flush=True)
    wrong = []
    for truth, record in zip(truths, ask("classify", SAMPLES, truths), strict=True):
        label, confidence = record.get("label"), record.get("confidence", 0.0)
        said = record.get("error") or (f"{label}  ({confidence:.1%})" if label is not None else "no digit in it")
        right = "error" not in record and (label or "") == truth["label"]
        if not right:
            wrong.append(truth["file"])
        mark = "" if right else f"   <- it is {truth['label'] or 'no digit'}"
        print(f"  {truth['picture']:<{column}} {truth['file']:<18} -> {said}{mark}")
    return wrong, len(truths)


def numbers() -> tuple[list[str], int]:
    """Reads all numbers on each page, as `digits` does."""
    pages = SAMPLES / "pages"
    truths = answers(pages)
    print(f"\nIt finds and reads all digits on a page. Here are {len(truths)}:\n", flush=True)
    wrong = []
    for truth in truths:
        form = ["--fields", str(pages / truth["fields"])] if truth["fields"] else []
        (record,) = ask("read", pages, [truth], *form)
        lines = [field["value"] or field["text"] for field in record.get("fields", [])] or record.get("lines", [])
        said, right = record.get("error") or " ".join(lines), " ".join(lines) == truth["text"]
        if not right:
            wrong.append(truth["file"])
        print(f"  {truth['picture']}, {truth['file']} -> {said}" + ("" if right else f"   <- it is {truth['text']}"))
    print()
    return wrong, len(truths)


def answers(folder: Path) -> list[dict[str, str]]:
    """What is in each picture of a folder."""
    with open(folder / "answers.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ask(command: str, folder: Path, truths: list[dict[str, str]], *options: str) -> list[Record]:
    """A record for each picture. Raises NoAnswer, with a command to try, where they do not come."""
    words = [*COMMAND, command, "--format", "jsonl", *options]
    paths = [str(folder / truth["file"]) for truth in truths]
    run = subprocess.run([*words, *paths], cwd=SAMPLES.parent, stdout=subprocess.PIPE, text=True)
    records = [json.loads(line) for line in run.stdout.splitlines()]
    if len(records) != len(truths):
        raise NoAnswer(shlex.join([*words, *paths[:1]]))
    return records


if __name__ == "__main__":
    sys.exit(main())
