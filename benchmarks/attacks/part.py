"""One part of the attacks: its table, its faults, and its place in `benchmarks/results/attacks.json`."""

import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
from rich.console import Console
from rich.table import Table

from octavo.project.files import atomic_write

RESULTS = Path(__file__).parents[1] / "results" / "attacks.json"
WIDTH = 170
"""Columns that a table takes where the terminal tells no more."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """What was tried and what came of it, a row each."""

    title: str
    rows: list[Row]
    faults: list[str]
    """What was accepted although it was changed, lost, doubled or stuck, and crashes: a sentence each."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Totals, and how it was run."""
    details: dict[str, Any] = field(default_factory=dict)
    """What is kept and not printed."""

    def show(self) -> None:
        """Print the table, the facts and the faults."""
        table = Table(*self.rows[0], title=self.title, title_justify="left")
        table.columns[0].no_wrap = True
        for row in self.rows:
            table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
        console = Console()
        console.width = max(console.width, WIDTH)
        console.print(table)
        for name, value in self.facts.items():
            console.print(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")
        for fault in self.faults:
            console.print(f"FAULT: {fault}", style="red", markup=False)

    def keep(self, name: str) -> None:
        """Put the part into the record of all parts; the others stay."""
        kept = json.loads(RESULTS.read_bytes()) if RESULTS.exists() else {}
        versions = {"os": platform.system(), "python": platform.python_version(), "mlflow": mlflow.__version__}
        kept[name] = {"versions": versions, **self.facts, "rows": self.rows, "faults": self.faults, **self.details}
        atomic_write.write_text(RESULTS, json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
