"""MLflow's database in a file: made beside and put in its place whole.

MLflow makes its tables step by step in the file itself, which takes seconds. Killed meanwhile, it leaves a database
that it can neither use nor finish. One that is empty or half made, and holds nothing yet, is set aside and made anew.
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
"""Seconds after which nobody works any more on a database that is made beside."""
BROKEN = ".broken"
"""What the name of a database ends with that was set aside."""
REVISION = "alembic_version"
KNOWN = {*Base.metadata.tables, *InitialBase.metadata.tables, REVISION}
UNDER_WAY = "_alembic_tmp_"
"""What the names of tables begin with that are being changed."""
OURS = ("runs", "registered_models")
"""Tables that hold what people would miss."""


def ready(path: Path) -> None:
    """Make sure that there is a whole database at `path`; one that holds anything is left to MLflow.

    Raises:
        OSError, sqlite3.Error: it cannot be made.
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
    """Remove what killed processes left beside."""
    for left in path.parent.glob(f".{path.name}.*"):
        with suppress(OSError):  # another process was faster
            if time.time() - left.stat().st_mtime > FORGOTTEN:
                left.unlink()


def is_broken(path: Path) -> bool:
    """Whether the database has no tables, or only some of MLflow's while it holds nothing yet.

    A process that was killed within a transaction leaves a journal, which whoever reads first has to roll back.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables - KNOWN - {name for name in tables if name.startswith(UNDER_WAY)}:
            return False
        if any(database.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() for name in OURS if name in tables):  # noqa: S608
            return False
        revisions = database.execute("SELECT version_num FROM alembic_version").fetchall() if REVISION in tables else []
    return revisions != [(_get_latest_schema_revision(),)]
