"""Check of `octavo doctor`: MLflow's tracking store answers and is complete."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from octavo.project.errors import OctavoError
from octavo.project.setting_up.examination.check_result import CheckResult
from octavo_mlflow.tracking import connection, local_store

NAME = "MLflow"


def check() -> Iterator[CheckResult]:
    """One line: where the store is, and whether it can be used."""
    connection.take_night_settings()
    store = connection.uri()
    path = Path(store.removeprefix(connection.SQLITE))
    yield _local(path) if store.startswith(connection.SQLITE) else _answering()


def _local(path: Path) -> CheckResult:
    if not path.exists():
        return CheckResult(NAME, f"no database yet; dvc repro makes {path}")
    try:
        broken = local_store.is_broken(path)
    except sqlite3.Error as error:
        return CheckResult(
            NAME,
            f"{path} cannot be read as MLflow's database ({error}), and Octavo cannot repair it",
            "Restore it from a backup, or move it away and run dvc repro: then the models' history starts anew.",
        )
    if broken:
        return CheckResult(
            NAME,
            f"{path} lacks some of MLflow's tables and holds no data yet: MLflow cannot use it",
            "Run: octavo doctor --mend",
            lambda: local_store.ready(path),
        )
    return _answering()


def _answering() -> CheckResult:
    try:
        with connection.connected(existing=True) as client:
            client.search_experiments(max_results=1)
    except OctavoError as error:
        return CheckResult(NAME, str(error), "Then run octavo doctor again.")
    return CheckResult(NAME, f"{connection.public()} answers")
