"""MLflow's SQLite database: created under a temporary name and then put in place, so that it is complete or absent.

MLflow creates its tables step by step in the file itself, which takes seconds. If it is killed meanwhile, it leaves a
database that it can neither use nor complete. A database that is empty or incomplete and holds no data yet is renamed,
and a new one takes its place.
"""

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from mlflow.store.db.base_sql_model import Base
from mlflow.store.db.utils import (
    _get_latest_schema_revision,
    _initialize_tables,
    create_sqlalchemy_engine_with_retry,
)
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

FORGOTTEN = 600
"""Seconds after which a temporary database belongs to no running process."""
BROKEN = ".broken"
"""Suffix of a broken database that was renamed."""
REVISION = "alembic_version"
KNOWN = {*Base.metadata.tables, *InitialBase.metadata.tables, REVISION}
UNDER_WAY = "_alembic_tmp_"
"""Prefix of tables that a migration is changing."""
OURS = ("runs", "registered_models")
"""Tables that hold users' data."""


def ready(path: Path) -> None:
    """Make sure that there is a complete database at `path`. A database that holds data is not touched.

    Raises:
        OSError, sqlite3.Error: it cannot be created.
    """
    _sweep(path)
    if path.exists() and not is_broken(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    try:
        engine = create_sqlalchemy_engine_with_retry(f"sqlite:///{beside}")
        _initialize_tables(engine)
        engine.dispose()
        if path.exists() and is_broken(path):
            path.replace(path.with_name(path.name + BROKEN))
        with suppress(FileExistsError):  # another process was faster
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Delete temporary databases that killed processes left behind."""
    for left in path.parent.glob(f".{path.name}.*"):
        with suppress(OSError):  # another process was faster
            if time.time() - left.stat().st_mtime > FORGOTTEN:
                left.unlink()


def is_broken(path: Path) -> bool:
    """Whether the database has no tables, or lacks some of MLflow's tables while it holds no data.

    The connection can write: a process killed within a transaction leaves a journal, which the next reader rolls back.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables - KNOWN - {name for name in tables if name.startswith(UNDER_WAY)}:
            return False
        if any(database.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() for name in OURS if name in tables):  # noqa: S608
            return False
        revisions = database.execute("SELECT version_num FROM alembic_version").fetchall() if REVISION in tables else []
    return revisions != [(_get_latest_schema_revision(),)]
