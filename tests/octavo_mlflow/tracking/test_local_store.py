"""MLflow's database in a file is whole or not there, whenever the process that makes it is killed."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from octavo_mlflow.tracking import local_store

SPAWN = multiprocessing.get_context("spawn")


def rows(path: Path) -> int:
    client = MlflowClient(f"sqlite:///{path}")
    return len(client.search_experiments())


def half_made(path: Path, source: Path) -> None:
    """As MLflow leaves it when it is killed: all tables but one, and the revision before the last."""
    path.write_bytes(source.read_bytes())
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'cc1f77228345'")
        database.execute("DROP TABLE model_version_tags")
        database.commit()


@pytest.mark.slow
@pytest.mark.parametrize("found", ["nothing", "empty", "half made"])
def test_a_database_is_made_where_there_is_no_whole_one(found: str, tmp_path: Path, empty_store: Path) -> None:
    path = tmp_path / "mlflow.db"
    if found == "empty":
        path.touch()
    if found == "half made":
        half_made(path, empty_store)
    local_store.ready(path)
    assert rows(path) == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        ["mlflow.db", *(["mlflow.db.broken"] if found != "nothing" else [])]
    )


def test_what_holds_anything_or_is_not_mlflows_is_left_alone(tmp_path: Path, empty_store: Path) -> None:
    held, other = tmp_path / "mlflow.db", tmp_path / "other.db"
    half_made(held, empty_store)
    with closing(sqlite3.connect(held)) as database:
        database.execute("INSERT INTO registered_models (name, workspace) VALUES ('mine', 'default')")
        database.commit()
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE mine (x)")
        database.commit()
    for path in (held, other):
        before = path.read_bytes()
        assert not local_store.is_broken(path)
        local_store.ready(path)
        assert path.read_bytes() == before


CUT_SHORT = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN")
database.executemany("INSERT INTO experiments (name) VALUES (?)", [(f"{n}{'x' * 200}",) for n in range(2000)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_transaction_that_was_cut_short_is_rolled_back(tmp_path: Path, empty_store: Path) -> None:
    """What reads alone cannot do that, and would be refused for ever."""
    path = Path(shutil.copy(empty_store, tmp_path))
    subprocess.run([sys.executable, "-c", CUT_SHORT, path], check=False)
    assert path.with_name("mlflow.db-journal").stat().st_size
    assert not local_store.is_broken(path)
    assert rows(path) == 1


@pytest.mark.slow
def test_killed_at_any_time_it_leaves_a_whole_one_or_none(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    for delay in (1.5, 3.0, 4.0):
        process = SPAWN.Process(target=local_store.ready, args=(path,))
        process.start()
        time.sleep(delay)
        if process.is_alive() and process.pid:
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert not path.exists() or not local_store.is_broken(path)
    local_store.ready(path)
    assert rows(path) == 1


def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path: Path, empty_store: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_store, path)
    old, new = (tmp_path / name for name in (".mlflow.db.17-journal", ".mlflow.db.18"))
    for left in (old, new):
        left.touch()
    os.utime(old, (time.time() - 700,) * 2)
    local_store.ready(path)
    assert sorted(left.name for left in tmp_path.iterdir()) == [new.name, path.name]
