"""What a run measured, as tables: printed at its end, and kept as build/test-pi.json and build/test-pi.md.

Kept row by row: what a run had measured when it was cut short is there."""

import json
from typing import Any

from tests.pi import stand_ins
from tests.pi.lab import ROOT

FOLDER = ROOT / "build"


class Report:
    """Rows of tables, in the order they come."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {}

    def add(self, table: str, **row: Any) -> None:
        self.tables.setdefault(table, []).append(row)
        self.save()

    def put(self, table: str, *, what: str, result: str) -> None:
        """A row that is said again as it grows."""
        rows = self.tables.setdefault(table, [])
        rows[:] = [row for row in rows if row.get("what") != what]
        self.add(table, what=what, result=result)

    def text(self) -> str:
        parts = [f"### {title}\n\n{_table(rows)}" for title, rows in self.tables.items()]
        if any("machine" in title for title in self.tables):
            said = "\n".join(f"- {what}: {why}" for what, why in stand_ins.LIST)
            parts.append(f"### Stand-ins in the machine\n\n{said}")
        return "\n\n".join(parts) + "\n"

    def save(self) -> None:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / "test-pi.json").write_text(json.dumps(self.tables, indent=2) + "\n")
        (FOLDER / "test-pi.md").write_text(self.text())


def _table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([str(row.get(key, "")) for key in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
