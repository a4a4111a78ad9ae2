"""Real servers for tests: PostgreSQL, and MLflow over any database. They listen on loopback or on a private socket."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

PATIENCE = 60.0
"""Seconds within which a server has to answer."""
HASTE = [f"-c{setting}=off" for setting in ("fsync", "synchronous_commit", "full_page_writes")]
"""What PostgreSQL can leave out where nothing has to survive a power cut."""


def postgresql_programs() -> Path | None:
    """The folder of `initdb` and `postgres`, or None where PostgreSQL's server is not installed."""
    folders = [Path(found).parent for found in [shutil.which("initdb")] if found]
    if shutil.which("pg_config"):
        asked = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
        folders.append(Path(asked.stdout.strip()))
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: -float(folder.parent.name))
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


@contextmanager
def postgresql(programs: Path) -> Iterator[str]:
    """A new PostgreSQL that only this user reaches; yields its SQLAlchemy URL, from which `new_database` starts."""
    with tempfile.TemporaryDirectory(prefix="octavo-postgresql-") as home:
        account = _unprivileged(home)
        initdb = [f"{programs}/initdb", "-D", f"{home}/data", "-U", "octavo", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run(initdb, cwd=home, check=True, capture_output=True, **account)
        log = Path(home, "log")
        with log.open("wb") as output:
            command = [f"{programs}/postgres", "-D", f"{home}/data", "-k", home, "-h", "", *HASTE]
            server: subprocess.Popen[bytes] = subprocess.Popen(
                command, cwd=home, stdout=output, stderr=output, **account
            )
        url = f"postgresql+psycopg://octavo@/postgres?host={home}"
        try:
            _await(server, log, lambda: _connects(url))
            yield url
        finally:
            server.send_signal(2)  # SIGINT: do not wait for clients to leave
            server.wait(30)


def new_database(server: str) -> str:
    """The SQLAlchemy URL of an empty database in the PostgreSQL at `server`."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.replace("/postgres?", f"/{name}?")


@contextmanager
def mlflow(arguments: list[str], folder: Path, page: str = "/health", port: int | None = None) -> Iterator[str]:
    """`mlflow` with these arguments, from when its `page` answers until the block ends; yields its address.

    Its log is in `folder`. The same `port` lets a server come back at the address where it was before.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # MLflow starts uvicorn by name
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # or each server compiles all of MLflow
    log = folder / f"server-{port}.log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        _await(server, log, lambda: _answers(f"{address}{page}"))
        yield address
    finally:
        _end(server)


@contextmanager
def tracking(database: str, folder: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """An MLflow server over the database with this SQLAlchemy URL, its artifacts in `folder`; yields its address."""
    artifacts = ["--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
    arguments = ["server", "--backend-store-uri", database, *artifacts, "--workers", "1", *options]
    with mlflow(arguments, folder, port=port) as address:
        yield address


def free_port() -> int:
    """A port of loopback that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _end(server: subprocess.Popen[bytes]) -> None:
    """End it; one that is busy for too long is killed."""
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(30)


def _unprivileged(home: str) -> dict[str, Any]:
    """How to start a program that refuses to run as root: as `nobody`, to whom `home` is then given."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _await(server: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no answer from {server.args!r}:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def _answers(page: str) -> bool:
    try:
        urllib.request.urlopen(page, timeout=2).close()
    except OSError:
        return False
    return True


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url.replace("+psycopg", "")).close()
    except psycopg.OperationalError:
        return False
    return True
