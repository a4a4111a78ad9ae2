"""The table: `python -m benchmarks.twins [--python PATH]` (about five minutes on two cores, with trained networks).

Each of four networks trained on MNIST is written in integers, static and quantization-aware: as ONNX, as LiteRT, and
as LiteRT by TensorFlow's converter. The LiteRT file is looked at beside its ONNX twin and beside the converter's file.
TFLite Micro and OpenVINO run where PATH, a Python interpreter, has them: `pip install tflite-micro openvino` in an
environment of its own. Prints a table and writes `benchmarks/results/twins.json`. MNIST comes from $OCTAVO_DATA, the
user's cache or the network.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import pooch
from rich.console import Console

from benchmarks.exact_sums import NETWORKS, train
from benchmarks.twins import table
from benchmarks.twins.pair import FORMS, Row, compare
from octavo.backends import latency
from octavo.data.splits import load_split
from octavo.project import errors

RESULTS = Path(__file__).parents[1] / "results" / "twins.json"
ROUNDS = 30
WIDTH = 170
"""Columns that the table takes where the terminal tells no more."""


@click.command()
@click.option("--networks", type=click.Path(path_type=Path), help="Where trained networks are kept.")
@click.option("--only", multiple=True, type=click.Choice(NETWORKS), help="Just these networks, and no record.")
@click.option("--python", default=sys.executable, help="An interpreter that has TFLite Micro and OpenVINO.")
@click.option("--rounds", default=ROUNDS, show_default=True, help="Rounds of timing, for each opening.")
@errors.boundary()
def main(networks: Path | None, only: Sequence[str], python: str, rounds: int) -> None:
    """Compare LiteRT files with their ONNX twins and with the converter's files."""
    folder = (networks or Path(pooch.os_cache("octavo"), "networks")).resolve()
    train(folder, only or NETWORKS)
    rows: list[Row] = []
    with TemporaryDirectory() as place:
        for name in only or NETWORKS:
            for form in FORMS:
                print(f"{name}, {form}", file=sys.stderr)
                rows.append(compare(name, form, folder, Path(place), python, rounds))
    machine = latency.describe_machine()
    if not only:
        record = {"n": len(load_split(folder / "data" / "test").labels), "machine": machine, "rows": rows}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH)
    console.print(table.table(rows))
    console.print(f"{machine['cpu']}, {', '.join(machine['instruction_sets'])}; {machine['versions']}", markup=False)


if __name__ == "__main__":
    main()
