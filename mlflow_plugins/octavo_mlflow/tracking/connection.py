"""Connect to MLflow's tracking store: find its address, and check that it answers."""

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
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.db.db_types import DATABASE_ENGINES
from requests.exceptions import HTTPError as RequestRefused
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from octavo.project import paths
from octavo.project.errors import NO_ROOM, ModelError, OctavoError, ServiceUnavailable
from octavo.project.git import roots
from octavo_mlflow.tracking import local_store

SQLITE = "sqlite:///"
MANNERS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # with MLflow's default it tries for four minutes
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
"""Loggers with a line for every model, version and new database. The first warns if uv created no pip."""
PAUSES = (0.5, 1.0)
"""Seconds before each further attempt to reach a server."""
OF_MLFLOW = "MLFLOW_"
"""Prefix of MLflow's environment variables."""
MISSING = "RESOURCE_DOES_NOT_EXIST"
"""MLflow answers, but what was asked for does not exist. Another attempt does not help."""
FULL = ("disk is full", "No space left")
UNKNOWN, DENIED = 401, 403
"""HTTP status codes: the user is unknown; the user is known but not allowed."""
BASIC_AUTH_SAYS = "Permission denied"
"""Body of its 403. A server's own check of host names, or a proxy, says something else."""


class AccessDenied(OctavoError):
    """MLflow answers and refuses. Another attempt does not help, therefore exit code 2."""

    exit_code = 2


def uri() -> str:
    """The address of the tracking store: `MLFLOW_TRACKING_URI`, otherwise `mlflow.db` in DVC's root, which all projects
    of a repository share.

    A relative SQLite path starts at that root, whatever the working directory is.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    return f"{SQLITE}{roots.shared() / given.removeprefix(SQLITE)}" if given.startswith(SQLITE) else given


@contextmanager
def connected(existing: bool = False) -> Iterator[MlflowClient]:
    """Connect to the tracking store, check that it answers, and make it the default of MLflow's own functions.

    The address and the login also come from the settings of `octavo nightly`, for variables that the shell has not set.

    Args:
        existing: whether the store must exist. Otherwise a missing one is created.

    Raises:
        AccessDenied: the server does not know this user, or does not allow the request.
        ModelError: MLflow does not have what was asked for, or the store does not exist.
        ServiceUnavailable: the store does not answer, refuses, or stops answering during the block.
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
        raise ModelError(f"MLFLOW_TRACKING_URI is not an address ({error}). Set it to your server.") from None
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
            else "Start the server or correct MLFLOW_TRACKING_URI, then run the same command again"
        )
        raise ServiceUnavailable(
            f"MLflow at {public()} cannot be used: {why}. Nothing is lost: the local files are complete. {advice}."
        ) from error


def take_night_settings() -> None:
    """Set the MLflow variables of `octavo nightly` in this process, if the shell has not set them."""
    for name, value in night_settings().items():
        os.environ.setdefault(name, value)


def night_settings() -> dict[str, str]:
    """MLflow's variables for `octavo nightly`: the lines `NAME='value'` of the project's `nightly.env`."""
    path = roots.project() / paths.NIGHT_ENVIRONMENT
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):  # a quote that is not closed: the shell that runs the night reports it
            for word in shlex.split(line, comments=True):
                name, equals, value = word.partition("=")
                if equals and name.startswith(OF_MLFLOW) and "\0" not in word:  # no environment can hold a NUL
                    found[name] = value
    return found


def public() -> str:
    """The store's address without a password, for messages."""
    return _public(uri())


def experiment(client: MlflowClient, name: str) -> str:
    """The id of the experiment called `name`. It is created or restored if necessary.

    With a SQLite store the artifacts are in `mlruns` beside it. A server has its own place for them.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        place = (roots.shared() / "mlruns" / name).as_uri() if uri().startswith(SQLITE) else None
        return client.create_experiment(name, artifact_location=place)
    if found.lifecycle_stage == LifecycleStage.DELETED:
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


def registered_model(client: MlflowClient, name: str) -> RegisteredModel | None:
    """The registered model of that name; None if MLflow has none."""
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != MISSING:
            raise
        return None


def how_to_look(experiment_id: str, view: str) -> str:
    """The command and the address that show the runs in MLflow's UI.

    Args:
        experiment_id: of the experiment.
        view: key of the shared view.
    """
    store = _public(uri())
    if store.startswith("http"):
        return f"{store.rstrip('/')}/#{page(experiment_id, view)}"
    near = store.replace(f"{SQLITE}{Path.cwd()}/", SQLITE)
    return f"mlflow server --backend-store-uri {near}, then http://127.0.0.1:5000/#{page(experiment_id, view)}"


def page(experiment_id: str, view: str) -> str:
    """The path of the page in MLflow's UI that shows the runs in the shared view with that key."""
    return f"/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={view}"


def _denial(error: Exception, server: str) -> str | None:
    """The message for an answer that denies access, or None for any other error.

    An error that came as JSON already has a sentence from the server, such as from Octavo's gate.
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
    """Check quickly whether the store answers, because MLflow itself waits for minutes.

    Raises:
        ModelError: there is no database file to read from, or it is incomplete.
        OSError, sqlite3.Error, SQLAlchemyError: the store does not answer.
        ImportError: the database's driver is not installed.
    """
    if store.startswith(SQLITE):
        path = Path(store.removeprefix(SQLITE))
        if existing and not path.exists():
            raise ModelError(
                f"There is no MLflow at {_public(store)} yet. Run dvc repro, or set MLFLOW_TRACKING_URI to your server."
            )
        if existing and local_store.is_broken(path):
            raise ModelError(f"MLflow at {_public(store)} is empty or incomplete. To repair it: octavo doctor --mend.")
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
    """The reason why `server` does not answer, or None. Any answer counts; its meaning is left to MLflow."""
    try:
        urllib.request.urlopen(server, timeout=5).close()  # noqa: S310 - the caller has seen that it is http
    except HTTPError:
        return None
    except OSError as error:
        return error
    return None
