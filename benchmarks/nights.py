"""What nights survive, and what they cost: `python -m benchmarks.nights` in the project's root (half an hour).

A real project with a real MLflow server, over PostgreSQL where it is installed, is built by nights that are killed in
every stage and then at random moments, run out of disk, and lose their server and their data. After each fault the next
night must leave one run and one version of each variant, aliases that agree with a whole audit log, and no process
behind. Then idle nights and rollbacks are timed. Prints tables and writes `benchmarks/results/nights.json`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from mlflow import MlflowClient
from rich.console import Console
from rich.table import Table

from octavo.backends.latency import describe_machine
from tests import servers
from tests.end_to_end.nights import DIGITS, PATIENCE, VARIANTS, Nights, full_disk, group, is_alive, made_in, state
from tests.end_to_end.project import Project

KILLS, IDLE, ROLLBACKS = 6, 5, 10
"""At random moments; nights; commands."""
RESULTS = Path(__file__).parent / "results" / "nights.json"
BUILT = ("promoted", "kept")

Row = dict[str, object]


def main() -> None:
    with TemporaryDirectory() as folder, database(Path(folder)) as (kind, url):
        for name in ("project", "store"):
            Path(folder, name).mkdir()
        nights = made_in(Project(Path(folder, "project")), Path(folder, "store"), url)
        with nights.mlflow() as client:
            faults = [*killed_in_every_stage(nights, client), *killed_at_random(nights, client)]
            faults += [out_of_disk(nights, client, Path(folder)), without_data(nights, client)]
        faults.append(without_mlflow(nights))
        with nights.mlflow() as client:
            idle = [timed(nights.run) for _ in range(IDLE)]
            rollbacks = [roll_back(nights, client) for _ in range(ROLLBACKS)]
    record = {
        "database": kind,
        "machine": describe_machine(),
        "faults": faults,
        "idle_seconds": idle,
        "rollback_seconds": rollbacks,
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(faults, idle, rollbacks)
    sys.exit(any(fault["survived"] != "yes" for fault in faults))


@contextmanager
def database(folder: Path) -> Iterator[tuple[str, str]]:
    programs = servers.postgresql_programs()
    if programs is None:
        yield "SQLite", f"sqlite:///{folder}/mlflow.db"
        return
    with servers.postgresql(programs) as server:
        yield "PostgreSQL", servers.new_database(server)


def killed_in_every_stage(nights: Nights, client: MlflowClient) -> Iterator[Row]:
    """The first build. In turn the watching process is killed, the night's own, and the stage's."""
    listed = nights.project.run("dvc", "stage", "list", "--name-only").splitlines()
    for place, stage in enumerate(name for name in listed if not name.endswith(".dvc")):
        process = nights.start()
        nights.await_stage(stage)
        yield {"fault": f"killed in {stage}", "survived": died(process, place)}
    yield {"fault": "the night after all these", "survived": well(nights, client, 1, nights.run()[1]["outcome"])}


def killed_at_random(nights: Nights, client: MlflowClient) -> Iterator[Row]:
    """Further builds of growing data, killed at moments drawn anew."""
    generator, built, grown = np.random.default_rng(0), 1, 1000
    for place in range(KILLS):
        if place % 4 == 0:
            grown += 100
            nights.write(DIGITS[0][:grown], DIGITS[1][:grown])
        process = nights.start()
        time.sleep(generator.uniform(1, 60))
        row: Row = {"fault": "killed at a random moment", "survived": died(process, place)}
        if place % 4 == 3:
            built += 1
            row["survived"] = well(nights, client, built, nights.run()[1]["outcome"])
        yield row


def died(process: "subprocess.Popen[str]", place: int) -> str:
    """Kill one of the night's processes; `yes` if that left none of the others behind."""
    below = group(process.pid)
    victims = [process.pid, *below[:1], *below[-1:]]
    if process.poll() is None:
        os.kill(victims[place % len(victims)], signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while any(map(is_alive, below)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return "no: processes go on" if any(map(is_alive, below)) else "yes"


def out_of_disk(nights: Nights, client: MlflowClient, folder: Path) -> Row:
    row: Row = {"fault": "the disk is full"}
    if os.geteuid() != 0:
        return row | {"survived": "yes", "note": "not tried: only root can have such a disk"}
    nights.write(DIGITS[0][:1450], DIGITS[1][:1450])
    before = built(client)
    with full_disk(nights.project.folder / ".dvc/cache", folder):
        failed = nights.run()[1]["outcome"]
    return row | {"survived": well(nights, client, before + 1, nights.run()[1]["outcome"]), "night": failed}


def without_data(nights: Nights, client: MlflowClient) -> Row:
    hidden = nights.source.rename(nights.source.with_suffix(".away"))
    failed = nights.run()[1]["outcome"]
    hidden.rename(nights.source)
    outcome = nights.run()[1]["outcome"]
    return {
        "fault": "the data's source is gone",
        "survived": well(nights, client, built(client), "kept" if outcome == "unchanged" else outcome),
        "night": failed,
    }


def without_mlflow(nights: Nights) -> Row:
    nights.write(DIGITS[0][:1490], DIGITS[1][:1490])
    with nights.mlflow() as client:
        before = built(client)
    failed = nights.run()[1]["outcome"]
    with nights.mlflow() as client:
        survived = well(nights, client, before + 1, nights.run()[1]["outcome"])
    return {"fault": "MLflow is gone", "survived": survived, "night": failed}


def built(client: MlflowClient) -> int:
    """How often all variants were registered."""
    return int(state(client)[0][VARIANTS[0]])


def well(nights: Nights, client: MlflowClient, times: int, outcome: str) -> str:
    """`yes` if the night ended well and left everything once, else what is wrong."""
    runs, versions, aliases = state(client)
    wanted = Counter(dict.fromkeys(VARIANTS, times))
    os.environ["MLFLOW_TRACKING_URI"] = nights.uri
    checks: dict[str, Callable[[], bool]] = {
        f"the night is {outcome}": lambda: outcome in BUILT,
        f"runs are {dict(runs)}": lambda: runs == wanted,
        f"versions are {dict(versions)}": lambda: versions == wanted,
        f"aliases are {aliases}": lambda: "champion" in aliases,
        "the audit fails": lambda: "the chain is whole" in nights.project.run("octavo", "audit"),
    }
    wrong = [what for what, holds in checks.items() if not holds()]
    return f"no: {'; '.join(wrong)}" if wrong else "yes"


def roll_back(nights: Nights, client: MlflowClient) -> float:
    """Seconds of a rollback to version 1, or from it to version 2."""
    os.environ["MLFLOW_TRACKING_URI"] = nights.uri
    target = "2" if state(client)[2]["champion"] == "1" else "1"
    return timed(lambda: nights.project.run("octavo", "rollback", target))


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return round(time.perf_counter() - start, 2)


def show(faults: list[Row], idle: list[float], rollbacks: list[float]) -> None:
    table = Table("fault", "survived")
    for fault in faults:
        table.add_row(str(fault["fault"]), str(fault["survived"]))
    console = Console()
    console.print(table)
    survived = sum(fault["survived"] == "yes" for fault in faults)
    console.print(f"{survived} of {len(faults)} faults survived.")
    console.print(f"Idle night: {median(idle):.1f} s, at most {max(idle):.1f} s.")
    console.print(f"octavo rollback: {median(rollbacks):.1f} s, at most {max(rollbacks):.1f} s.")


if __name__ == "__main__":
    main()
