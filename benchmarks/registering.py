"""What `register` costs for ten variants: `python -m benchmarks.registering` in the project's root (some minutes).

The first time everything is added, the second time nothing has changed. Each is a process of its own, as in a repro,
timed without its imports; on a SQLite file whose tables are made, and on a server over PostgreSQL with artifacts behind
it. The networks have 48 weights, so that MLflow is timed and not the copying of files.
Prints a table and writes `benchmarks/results/registering.json`.
"""

import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient
from rich.console import Console
from rich.table import Table

from octavo.backends.latency import describe_machine
from octavo.evaluation.scorecard import load_scorecards
from octavo.project import paths
from octavo.project.params.params import load_params
from octavo_mlflow.registration.register import register
from tests import servers
from tests.octavo_mlflow import measured_project

REPEATS = 5
RESULTS = Path(__file__).parent / "results" / "registering.json"

Row = dict[str, Any]


def main() -> None:
    with TemporaryDirectory() as place, ExitStack() as running:
        folder = Path(place)
        empty = folder / "mlflow.db"
        MlflowClient(f"sqlite:///{empty}").search_experiments()
        rows = [timed("SQLite", folder, empty, None)]
        programs = servers.postgresql_programs()
        if programs:
            database = servers.new_database(running.enter_context(servers.postgresql(programs)))
            rows.append(timed("PostgreSQL", folder, empty, running.enter_context(servers.tracking(database, folder))))
    record = {"machine": describe_machine(), "rows": rows}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(rows)


def timed(store: str, folder: Path, empty: Path, server: str | None) -> Row:
    """Seconds of each repeat, in a new project that the store does not know."""
    pairs = list(zip(*(pair(folder / f"{store}-{repeat}", empty, server) for repeat in range(REPEATS)), strict=True))
    return {"store": store, "first_seconds": pairs[0], "unchanged_seconds": pairs[1]}


def pair(project: Path, empty: Path, server: str | None) -> Iterator[float]:
    """Seconds of the first time, and of the second."""
    project.mkdir()
    alone(build, project, empty)
    for added in (10, 0):
        seconds, found = alone(registered, project, server)
        assert found == added, f"{found} added instead of {added}"
        yield round(seconds, 3)


def alone(function: Any, *arguments: object) -> Any:
    """What the function returns, from a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def build(project: Path, empty: Path) -> None:
    """Make a measured project of ten variants, whose experiment and registered model are called as its folder."""
    os.chdir(project)
    measured_project.make(project, empty)
    settings = Path("params.yaml")
    text = settings.read_text(encoding="utf-8")
    for name in ("experiment", "model"):
        text = text.replace(f"{name}: octavo", f"{name}: {project.name}")
    settings.write_text(text, encoding="utf-8")


def registered(project: Path, server: str | None) -> tuple[float, int]:
    """Seconds that it took, and how many were added."""
    os.chdir(project)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    if server:
        os.environ["MLFLOW_TRACKING_URI"] = server
    scorecards, params = load_scorecards(paths.SCORECARDS), load_params()
    start = time.perf_counter()
    done = register(scorecards, params)
    return time.perf_counter() - start, len(done.added)


def show(rows: list[Row]) -> None:
    table = Table("ten variants, seconds", "first time", "nothing changed")
    for row in rows:
        spread = (row["first_seconds"], row["unchanged_seconds"])
        table.add_row(row["store"], *(f"{median(each):.2f} [{min(each):.2f}, {max(each):.2f}]" for each in spread))
    Console().print(table)
    if len(rows) == 1:
        Console(stderr=True).print("PostgreSQL's server is not installed (on Debian the package postgresql).")


if __name__ == "__main__":
    main()
