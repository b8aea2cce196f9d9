"""What a fault came to, and the table of all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.daemon.faults.account import Account, Compared

SHOWN = 5  # lines of each kind of trouble


@dataclass
class Result:
    """Of one fault. `recovery`: seconds, each time; `crashes` and `failures`: a line each; `notes`: for people."""

    fault: str
    times: int = 0
    acknowledged: int = 0
    compared: Compared = field(default_factory=Compared)
    repeats: int = 0
    recovery: list[float] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0

    def take(self, account: Account, compared: Compared) -> None:
        """The account as it stands at the end."""
        self.acknowledged, self.repeats = account.acknowledged, account.repeats
        self.compared = compared
        self.failures += account.wrong

    @property
    def trouble(self) -> list[str]:
        """A line for each thing that is wrong; empty where all is well."""
        found = self.compared
        kinds = (found.lost, found.different, found.doubled, found.corrupt, found.missing, self.crashes, self.failures)
        return [line for kind in kinds for line in (*kind[:SHOWN], *_rest(kind))]

    def as_json(self) -> dict[str, Any]:
        found = self.compared
        return {
            "fault": self.fault,
            "times": self.times,
            "acknowledged": self.acknowledged,
            "records": found.records,
            "lost": len(found.lost),
            "different": len(found.different),
            "doubled": len(found.doubled),
            "corrupt": len(found.corrupt),
            "missing": len(found.missing),
            "repeats": self.repeats,
            "crashes": len(self.crashes),
            "failures": len(self.failures),
            "recovery_seconds": [round(seconds, 3) for seconds in self.recovery],
            "seconds": round(self.seconds, 1),
            "skipped": self.skipped,
            "notes": self.notes,
            "trouble": self.trouble,
        }


def _rest(lines: Sequence[str]) -> list[str]:
    return [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []


HEADINGS = (
    "fault", "times", "acknowledged", "lost", "different", "doubled", "corrupt", "undelivered", "repeats", "crashes",
    "other failures", "recovery, s: median / longest",
)  # fmt: skip


def table(results: Sequence[Result]) -> str:
    """In Markdown, its columns under each other."""
    rows = [HEADINGS, *map(_row, results), _total(results)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(
        1, "| " + " | ".join("-" * (width - 1) + (":" if place else "-") for place, width in enumerate(widths)) + " |"
    )
    return "\n".join(lines)


def _row(result: Result) -> tuple[str, ...]:
    if result.skipped:
        return (result.fault, "skipped", *("" for _ in HEADINGS[2:]))
    return (result.fault, *map(str, _numbers(result)), _recovery(result.recovery))


def _numbers(result: Result) -> tuple[int, ...]:
    found = result.compared
    lists = (found.lost, found.different, found.doubled, found.corrupt, found.missing)
    return (
        result.times, result.acknowledged, *map(len, lists), result.repeats, len(result.crashes), len(result.failures)
    )  # fmt: skip


def _recovery(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.1f} / {max(seconds):.1f}" if seconds else ""


def _total(results: Sequence[Result]) -> tuple[str, ...]:
    columns = zip(*(_numbers(result) for result in results if not result.skipped), strict=True)
    return ("all", *(str(sum(column)) for column in columns), "")
