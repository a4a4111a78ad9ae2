"""`mlflow server --app-name octavo`: a server that lets a model become champion only by its own policy.

MLflow calls the factory in each of its worker processes.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from flask import Flask, Response
from mlflow.environment_variables import _MLFLOW_SGI_NAME
from mlflow.server import app as mlflow_app
from mlflow.server.fastapi_app import create_fastapi_app
from mlflow.server.handlers import _get_model_registry_store, _get_rest_path
from pydantic import ValidationError
from uvicorn.config import STARTUP_FAILURE

from octavo.project.errors import OctavoError, ParamsError
from octavo.project.files import yaml_file
from octavo.project.params.policy import Policy
from octavo.project.params.registry import GuardedAliases
from octavo.project.params.section import faults
from octavo_mlflow.registry import identity
from octavo_mlflow.registry.identity import Gate
from octavo_mlflow.server.alias_guard import Guarded, guard
from octavo_mlflow.server.four_eyes import Sender
from octavo_mlflow.server.move_check import MayForce

POLICY = "OCTAVO_POLICY"
"""Environment variable: path of a `params.yaml`, or of a file with only its `policy`. The file may also hold
`registry.guarded_aliases` and `baseline`.
"""


def create_app() -> FastAPI | Flask:
    """MLflow's own app with the gate. It has no user accounts, so nobody may force a move.

    Without a policy the server ends, and does not restart the worker.
    """
    keep_gate(lambda: False, lambda: None)
    return create_fastapi_app(mlflow_app) if _MLFLOW_SGI_NAME.get() == "uvicorn" else mlflow_app


def keep_gate(may_force: MayForce, sender: Sender) -> None:
    """Guard this process's registry store with the policy that the environment names, or end the process."""
    with _or_not_start():
        found = policy()
        guard(_get_model_registry_store(), found, may_force, guarded(), sender)

    def tell() -> Response:
        return Response(Gate(approvals=found.approvals, user=sender()).model_dump_json(), mimetype="application/json")

    mlflow_app.add_url_rule(route(), "octavo_gate", tell)


def route() -> str:
    """The path where a client asks how many approvals are required and who the user is."""
    return str(_get_rest_path(identity.ROUTE))


def policy() -> Policy:
    """Read the policy from the file that the environment names.

    Raises:
        ParamsError: no file is named, or it cannot be read.
    """
    path, read = _read()
    try:
        return Policy.model_validate(read.get("policy", read) if isinstance(read, dict) else read)
    except ValidationError as error:
        raise ParamsError(f"{POLICY} names {path}, which holds no policy: {faults(error)}.") from None


def guarded() -> Guarded:
    """Read `registry.guarded_aliases` and `baseline` from the same file, if it has them.

    Raises:
        ParamsError: as `policy`, or one of the two is wrong.
    """
    path, read = _read()
    if not isinstance(read, dict) or "policy" not in read:
        return Guarded()
    registry = read.get("registry")
    try:
        found = GuardedAliases.model_validate(registry if isinstance(registry, dict) else {})
    except ValidationError as error:
        raise ParamsError(f"{POLICY} names {path}, whose registry cannot be used: {faults(error)}.") from None
    baseline = read.get("baseline")
    return Guarded(found.guarded_aliases, None if baseline is None else str(baseline))


def _read() -> tuple[str, Any]:
    """The path that the environment names, and the content of the file."""
    path = os.environ.get(POLICY)
    if not path:
        raise ParamsError(
            f"{POLICY} is not set. Set it to the path of a params.yaml, or of a file with only its policy, on this "
            "machine. The server decides by that policy which model may become champion."
        )
    try:
        return path, yaml_file.read(Path(path))
    except FileNotFoundError as error:
        raise ParamsError(f"{POLICY} names {path}, which cannot be read: {error.strerror}.") from None


@contextmanager
def _or_not_start() -> Iterator[None]:
    """End the process if the block fails, with its message and the exit code that stops the parent from
    restarting it.
    """
    try:
        yield
    except OctavoError as error:
        print(f"octavo: {error}", file=sys.stderr, flush=True)
        os._exit(STARTUP_FAILURE)  # at once: uvicorn kills a worker that exits slowly, and then starts another
