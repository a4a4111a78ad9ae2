"""`mlflow server --app-name octavo-basic-auth`: Octavo's gate in MLflow's basic-auth app.

A user who may manage a registered model may move its aliases against the verdict. The reason is required and recorded.
"""

import fcntl
from pathlib import Path

from fastapi import FastAPI
from flask import Flask, Response
from mlflow.server import auth

from octavo_mlflow.server.app import keep_gate, route
from octavo_mlflow.server.refusal import refusal


def create_app() -> FastAPI | Flask:
    """MLflow's basic-auth app with the gate.

    Without a policy the server ends, and does not restart the worker.

    Raises:
        MlflowException: basic-auth lacks a setting.
    """
    keep_gate(lambda: auth.sender_is_admin() or auth.validate_can_manage_registered_model(), _sender)
    auth.BEFORE_REQUEST_VALIDATORS[route(), "GET"] = lambda: True  # for every user with an account
    with Path(__file__).open("rb") as turn:  # the first worker creates the tables of users, the others find them
        fcntl.flock(turn, fcntl.LOCK_EX)
        return auth.create_app()


def _sender() -> str:
    """The sender's name as it was created. Some databases find `Ada` when `ada` is asked for."""
    found = auth.authenticate_request()
    if isinstance(found, Response) or not found.username:
        raise refusal("This server does not know who sends this request.")
    return str(auth.store.get_user(found.username).username)
