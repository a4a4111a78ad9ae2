"""`octavo doctor`: find what killed processes left behind, and repair it."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from octavo.project.errors import OctavoError
from octavo.project.files import dvc_rwlock
from octavo_mlflow.tracking import connection, local_store


@dataclass(frozen=True)
class Leftover:
    """A fault as a sentence, and the function that repairs it."""

    sentence: str
    mend: Callable[[], object]


def doctor(mend: bool) -> None:
    """Do what `octavo doctor` asks for, and print it."""
    found = list(_findings())
    for finding in found:
        click.echo(finding.sentence)
        if mend:
            finding.mend()
    if mend:
        found = list(_findings())
    if found:
        raise OctavoError(
            "The repair failed. Perhaps another process uses these files: try again when it has ended."
            if mend
            else "To repair it: octavo doctor --mend."
        )
    click.echo("Repaired." if mend else "Nothing is broken: DVC's lock, MLflow's database.")


def _findings() -> Iterator[Leftover]:
    if dvc_rwlock.is_broken():
        yield Leftover(f"{dvc_rwlock.path()} cannot be read, and every dvc repro stops at it.", dvc_rwlock.mend)
    connection.take_night_settings()
    store = connection.uri()
    path = Path(store.removeprefix(connection.SQLITE))
    if store.startswith(connection.SQLITE) and path.exists() and _is_broken(path):
        yield Leftover(
            f"{path} lacks some of MLflow's tables and holds no data yet: MLflow cannot use it.",
            lambda: local_store.ready(path),
        )


def _is_broken(path: Path) -> bool:
    """Whether MLflow's database is incomplete.

    Raises:
        OctavoError: it is not a database, or a damaged one that may hold data.
    """
    try:
        return local_store.is_broken(path)
    except sqlite3.Error as error:
        raise OctavoError(
            f"{path} cannot be read as MLflow's database ({error}), and Octavo cannot repair it. Restore it from a "
            "backup, or move it away and run dvc repro: then the models' history starts again from nothing."
        ) from None
