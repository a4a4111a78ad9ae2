"""The table: `python -m benchmarks.architectures` (about half an hour on two cores).

Every network is tried in a process of its own, and kept: what was measured by the same code is not measured again
unless asked. Prints each weak cell with its explanation, and ends with exit code 1 where one has none. Writes
`benchmarks/results/architectures.json`. MNIST comes from $OCTAVO_DATA, the user's cache or the network.
"""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pooch
from rich.console import Console
from rich.table import Table

from benchmarks.architectures import peer, verdicts
from benchmarks.architectures.catalogue import ARCHITECTURES
from benchmarks.architectures.cells import Cell
from octavo.backends import latency
from octavo.project import errors
from octavo.quantization import recipes

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "architectures.json"
QUICK = 9
"""Rounds, the fewest that have a 95% interval and some more."""
TIME_LIMIT = 1800
REASON = 300
"""Last characters of what a process said when it failed."""
WIDTH = 170
"""Columns that the table takes where the terminal tells no more."""
UNEXPLAINED = "UNEXPLAINED"
HEADERS = ("network", "recipe", "SQNR, dB", "agreement", "weights", "compute", "÷ FP32", f"÷ {peer.NAME}", "weak")
CAPTION = (
    "SQNR and agreement with the network that the file was made of; weights, compute: integer shares; "
    f"÷ FP32: latency at batch 1 over FP32's in the same runtime; ÷ {peer.NAME}: over the file that onnxruntime makes"
)

Row = dict[str, Any]


@click.command()
@click.option(
    "--only", multiple=True, type=click.Choice(list(ARCHITECTURES)), help="Just these networks, and no record."
)
@click.option("--recipe", multiple=True, type=click.Choice(recipes.names()), help="Just these recipes, and no record.")
@click.option("--quick", is_flag=True, help="Fewer rounds of timing, and no record.")
@click.option("--again", is_flag=True, help="Measure anew what is kept.")
@click.option("--kept", type=click.Path(path_type=Path), help="Where results are kept.")
@errors.boundary()
def main(only: Sequence[str], recipe: Sequence[str], quick: bool, again: bool, kept: Path | None) -> None:
    """Try networks of many architectures with every recipe."""
    options = [f"--recipe={name}" for name in recipe] + ([f"--rounds={QUICK}"] if quick else [])
    folder = (kept or Path(pooch.os_cache("octavo"), "architectures")) / _digest(options)
    rows = [_tried(name, folder / f"{name}.json", options, again) for name in only or ARCHITECTURES]
    machine = latency.describe_machine()
    if not (only or options):
        RESULTS.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    _show(rows, machine)
    if any(weak["explanation"] is None for row in rows for cell in row["cells"] for weak in cell["weak"]):
        raise SystemExit(1)


def _digest(options: Sequence[str]) -> str:
    """One name for the code that measures, and for the options; what is said of figures changes none."""
    places = (ROOT / "pipeline", Path(__file__).parent)
    sources = sorted({path for place in places for path in place.rglob("*.py")} - {Path(verdicts.__file__)})
    digest = hashlib.sha256(repr(options).encode())
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _tried(name: str, target: Path, options: Sequence[str], again: bool) -> Row:
    """The row of the network called `name`, measured in a process of its own or as it is kept."""
    if again or not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.architectures.trial", name, str(target), *options]
        try:
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True, encoding="utf-8", timeout=TIME_LIMIT)
        except subprocess.CalledProcessError as error:
            return _failed(name, " ".join(error.stderr.split())[-REASON:])
        except subprocess.TimeoutExpired:
            return _failed(name, f"not done after {TIME_LIMIT} s")
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    row: Row = json.loads(target.read_text(encoding="utf-8"))
    cells = {cell["recipe"]: cell for cell in row["cells"]}
    for recipe, cell in cells.items():
        cell["weak"] = verdicts.weaknesses(name, cell, cells) if recipe != peer.NAME else []
    return row


def _failed(name: str, reason: str) -> Row:
    weak = {"kind": "crashed", "figure": reason, "explanation": None}
    return {"architecture": name, "cells": [{"recipe": "all", "failure": "crashed", "reason": reason, "weak": [weak]}]}


def _show(rows: Sequence[Row], machine: dict[str, Any]) -> None:
    table = Table(*HEADERS, caption=CAPTION)
    for row in rows:
        table.add_section()
        for place, cell in enumerate(row["cells"]):
            table.add_row(row["architecture"] if place == 0 else "", cell["recipe"], *_cells(cell))
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH)
    console.print(table)
    console.print(f"{machine['cpu']}, {', '.join(machine['instruction_sets'])}; {machine['versions']}", markup=False)
    for line in _weak(rows):
        console.print(line, markup=False)
    cells = [cell for row in rows for cell in row["cells"] if cell["recipe"] != peer.NAME]
    weak = [item for cell in cells for item in cell["weak"]]
    without = sum(item["explanation"] is None for item in weak)
    console.print(f"{len(rows)} networks, {len(cells)} cells, {len(weak)} weak figures, {without} unexplained")


def _cells(cell: Cell) -> Iterator[str]:
    weak = ", ".join(item["kind"] for item in cell["weak"])
    if "failure" in cell or not cell["finite"]:
        yield cell.get("failure", "not finite")
        yield from ("",) * 5
    else:
        agreement = cell.get("agreement")
        yield f"{cell['sqnr_db']:.1f}"
        yield "" if agreement is None else f"{agreement:.1%}"
        for share in ("integer_weight_share", "integer_compute_share"):
            yield "unknown" if cell[share] is None else f"{cell[share]:.0%}"
        for ratio in ("latency_ratio", "peer_ratio"):
            yield f"{cell[ratio]:.2f}" if ratio in cell else ""
    yield weak


def _weak(rows: Sequence[Row]) -> Iterator[str]:
    """A line for all networks on which a recipe is weak for the same reason; those without explanation come last."""
    groups: dict[tuple[bool, str, str], list[str]] = {}
    for row in rows:
        for cell in row["cells"]:
            for weak in cell["weak"]:
                key = (weak["explanation"] is None, cell["recipe"], weak["explanation"] or UNEXPLAINED)
                groups.setdefault(key, []).append(f"{row['architecture']} {weak['figure']}")
    for (_, recipe, explanation), found in sorted(groups.items()):
        yield f"{recipe}: {'; '.join(found)}: {explanation}"


if __name__ == "__main__":
    main()
