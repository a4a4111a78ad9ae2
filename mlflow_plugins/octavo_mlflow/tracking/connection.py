"""Where MLflow's tracking store is, and whether it answers."""

import logging
import os
import shlex
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.db.db_types import DATABASE_ENGINES
from requests.exceptions import HTTPError as RequestRefused
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from octavo.project import paths
from octavo.project.errors import NO_ROOM, ModelError, OctavoError, ServiceUnavailable
from octavo_mlflow.tracking import local_store

SQLITE = "sqlite:///"
MANNERS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's own default goes on for four minutes
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
QUIET = (
    "mlflow.utils.environment",
    "mlflow.pyfunc",
    "mlflow.store.db.utils",
    "mlflow.store.model_registry.abstract_store",
)
"""Loggers that tell of every model, version and new database; the first warns where uv left pip out."""
PAUSES = (0.5, 1.0)
"""Seconds before each further attempt to reach a server."""
OF_MLFLOW = "MLFLOW_"
"""What the names of its variables begin with."""
MISSING = "RESOURCE_DOES_NOT_EXIST"
"""MLflow's answer where it is there, and what was asked for is not: trying again does not help."""
FULL = ("disk is full", "No space left")
UNKNOWN, DENIED = 401, 403
"""HTTP: who asks is not known; is known, and may not."""
BASIC_AUTH_SAYS = "Permission denied"
"""Body of its 403; a server's own check of host names, or a proxy, says something else."""


class AccessDenied(OctavoError):
    """MLflow answers, and says no. Trying again does not help, hence exit code 2."""

    exit_code = 2


def root() -> Path:
    """The project's folder; under `dvc exp run --temp` the one whose experiment it is, not the temporary copy."""
    return Path(os.environ.get("DVC_ROOT", ".")).absolute()


def uri() -> str:
    """The tracking store: `MLFLOW_TRACKING_URI`, else `mlflow.db` in the project.

    A relative SQLite path starts at the project's folder, wherever the process stands.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    return f"{SQLITE}{root() / given.removeprefix(SQLITE)}" if given.startswith(SQLITE) else given


@contextmanager
def connected(existing: bool = False) -> Iterator[MlflowClient]:
    """A client of the tracking store, known to answer, and the default of MLflow's own functions from here on.

    Where the store is, and who asks, is read from the night's settings, too, as far as this shell has not set it.

    Args:
        existing: whether the store has to be there: else one is made where there is none.

    Raises:
        AccessDenied: the server does not know this user, or this user may not do it.
        ModelError: what is asked for is not in MLflow, or there is no store to read from.
        ServiceUnavailable: the store does not answer, refuses, or stops answering on the way.
    """
    take_night_settings()
    for name, value in MANNERS.items():
        os.environ.setdefault(name, value)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    store = uri()
    try:
        urlsplit(store)
    except ValueError as error:
        raise ModelError(f"MLFLOW_TRACKING_URI is no address ({error}). Set it to your server.") from None
    try:
        _knock(store, existing)
        mlflow.set_tracking_uri(store)
        yield MlflowClient()
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, ImportError) as error:
        if denial := _denial(error, _public(store)):
            raise AccessDenied(denial) from error
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        why = " ".join(str(getattr(error, "reason", error)).split())[:300].rstrip(".")
        if isinstance(error, MlflowException) and error.error_code == MISSING:
            raise ModelError(
                f"MLflow at {public()} does not have what this needs: {why}. It was deleted, or this is another "
                "MLflow: see octavo audit."
            ) from error
        advice = (
            "Make room, then run the same command again"
            if any(words in why for words in FULL)
            else "Start the server or mend MLFLOW_TRACKING_URI, then run the same command again"
        )
        raise ServiceUnavailable(
            f"MLflow at {public()} cannot be used: {why}. Nothing is lost, the local files are the truth. {advice}."
        ) from error


def take_night_settings() -> None:
    """Let this process have the night's settings of MLflow, as far as the shell has set no others."""
    for name, value in night_settings().items():
        os.environ.setdefault(name, value)


def night_settings() -> dict[str, str]:
    """What the night is told of MLflow beyond a bare environment: lines `NAME='value'` of `nightly.env`."""
    path = root() / paths.NIGHT_ENVIRONMENT
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):  # a quote that is not closed: what the shell makes of that is the night's affair
            for word in shlex.split(line, comments=True):
                name, equals, value = word.partition("=")
                if equals and name.startswith(OF_MLFLOW) and "\0" not in word:  # which no environment holds
                    found[name] = value
    return found


def public() -> str:
    """The store's address as people may see it: without a password."""
    return _public(uri())


def experiment(client: MlflowClient, name: str) -> str:
    """The id of the experiment called `name`, made or restored where needed.

    With a SQLite store the artifacts lie in the project's `mlruns`; a server has its own place for them.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        place = (root() / "mlruns" / name).as_uri() if uri().startswith(SQLITE) else None
        return client.create_experiment(name, artifact_location=place)
    if found.lifecycle_stage == LifecycleStage.DELETED:
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


def how_to_look(experiment_id: str, view: str) -> str:
    """What to type and open to see the runs, in the shared view of that key."""
    store = _public(uri())
    if store.startswith("http"):
        return f"{store.rstrip('/')}/#{page(experiment_id, view)}"
    near = store.replace(f"{SQLITE}{Path.cwd()}/", SQLITE)
    return f"mlflow server --backend-store-uri {near}, then http://127.0.0.1:5000/#{page(experiment_id, view)}"


def page(experiment_id: str, view: str) -> str:
    """Where MLflow's pages show the runs in the shared view of that key."""
    return f"/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={view}"


def _denial(error: Exception, server: str) -> str | None:
    """The sentence for an answer that says no; None where the error is another one.

    An error that came as JSON is a sentence of the server's own, such as its gate's.
    """
    status = error.response.status_code if isinstance(error, RequestRefused) and error.response is not None else None
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
    if status == UNKNOWN:
        return (
            f"MLflow at {server} does not know this user and password. Set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, then run the command again."
        )
    if status == DENIED and isinstance(error, RestException):
        return str(error).partition(": ")[2]
    if status != DENIED or BASIC_AUTH_SAYS not in str(error):
        return None
    return (
        f"MLflow at {server} does not let {os.environ.get('MLFLOW_TRACKING_USERNAME', 'this user')} do this. Ask its "
        "administrator for the permissions in docs/team.md."
    )


def _public(store: str) -> str:
    """The store's address without a password."""
    parts = urlsplit(store)
    return store.replace(f"{parts.netloc}", parts.netloc.rpartition("@")[2], 1) if parts.netloc else store


def _knock(store: str, existing: bool) -> None:
    """Ask impatiently whether anyone is there, because MLflow itself would wait for long.

    Raises:
        ModelError: there is no file to read from.
        OSError, sqlite3.Error, SQLAlchemyError: nobody is.
        ImportError: the database's driver is not installed.
    """
    if store.startswith(SQLITE):
        path = Path(store.removeprefix(SQLITE))
        if existing and not path.exists():
            raise ModelError(
                f"There is no MLflow at {_public(store)} yet. Run dvc repro, or set MLFLOW_TRACKING_URI to your server."
            )
        if existing and local_store.is_broken(path):
            raise ModelError(f"MLflow at {_public(store)} is empty, or half made. To mend it: octavo doctor --mend.")
        local_store.ready(path)
    elif urlsplit(store).scheme.partition("+")[0] in DATABASE_ENGINES:
        create_engine(store, poolclass=NullPool).connect().close()
    elif store.startswith("http"):
        silence = _silence(_public(store))
        for pause in PAUSES:
            if silence is None:
                return
            time.sleep(pause)
            silence = _silence(_public(store))
        if silence is not None:
            raise silence


def _silence(server: str) -> OSError | None:
    """Why `server` does not answer; any answer will do, what it thinks of us is for MLflow to say."""
    try:
        urllib.request.urlopen(server, timeout=5).close()  # noqa: S310 - the caller has seen that it is http
    except HTTPError:
        return None
    except OSError as error:
        return error
    return None
