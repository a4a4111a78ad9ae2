"""CPU seconds of each stage of a project: `python benchmarks/stages.py [FOLDER] [--record NAME]`.

Runs the command of every stage of FOLDER's `dvc.yaml`, in DVC's own order, each in a process of its own, and adds up
the CPU time of that process and of all that it starts; DVC itself is not counted. FOLDER is a clean clone; its
artifacts are made anew. Prints a table; with `--record` the figures go to `benchmarks/results/stages.json` under that
name.
"""

import json
import os
import resource
import shlex
import subprocess
import sys
import time
from graphlib import TopologicalSorter
from pathlib import Path

import click
from dvc.repo import Repo
from rich.console import Console
from rich.table import Table

from octavo.backends.latency import describe_machine

RESULTS = Path(__file__).parent / "results" / "stages.json"


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--record", help="Name of these figures in benchmarks/results/stages.json, such as 'before'.")
def main(folder: Path, record: str | None) -> None:
    """Run every stage once and print what it cost."""
    rows = [(name, *run(command, folder)) for name, command in commands(folder)]
    table = Table("stage", "CPU s", "wall s", title=f"Stages of {folder.resolve().name}")
    for name, cpu, wall in rows:
        table.add_row(name, f"{cpu:.1f}", f"{wall:.1f}")
    table.add_row("all", f"{sum(cpu for _, cpu, _ in rows):.1f}", f"{sum(wall for *_, wall in rows):.1f}")
    Console().print(table)
    if record:
        found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        stages = {name: {"cpu_s": round(cpu, 2), "wall_s": round(wall, 2)} for name, cpu, wall in rows}
        found[record] = {"machine": describe_machine(), "stages": stages, "cpu_s": round(sum(r[1] for r in rows), 1)}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def commands(folder: Path) -> list[tuple[str, str]]:
    """Name and command of each stage, those first that others depend on."""
    with Repo(str(folder)) as repo:
        below = {stage: sorted(repo.index.graph.successors(stage), key=str) for stage in repo.index.stages}
        return [(stage.addressing.rpartition(":")[2], stage.cmd) for stage in TopologicalSorter(below).static_order()]


def run(command: str, folder: Path) -> tuple[float, float]:
    """CPU seconds of the command with its children, and wall seconds."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(shlex.split(command), cwd=folder, env=environment, check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - start


if __name__ == "__main__":
    main()
