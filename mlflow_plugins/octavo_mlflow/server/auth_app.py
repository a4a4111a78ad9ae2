"""`mlflow server --app-name octavo-basic-auth`: the gate of `octavo` in MLflow's basic-auth app.

Who may manage a registered model may move its aliases against the verdict, with a reason, which is recorded.
"""

import fcntl
from pathlib import Path

from fastapi import FastAPI
from flask import Flask, Response
from mlflow.server import auth

from octavo_mlflow.server.alias_guard import refusal
from octavo_mlflow.server.app import keep_gate, route


def create_app() -> FastAPI | Flask:
    """MLflow's basic-auth app with the gate in it.

    Without a policy the server ends, and does not start the worker again.

    Raises:
        MlflowException: basic-auth lacks a setting.
    """
    keep_gate(lambda: auth.sender_is_admin() or auth.validate_can_manage_registered_model(), _sender)
    auth.BEFORE_REQUEST_VALIDATORS[route(), "GET"] = lambda: True  # for whoever is known
    with Path(__file__).open("rb") as turn:  # the first worker makes the tables of users, the others find them
        fcntl.flock(turn, fcntl.LOCK_EX)
        return auth.create_app()


def _sender() -> str:
    """Who sends the request, spelled as when the user was made: some databases find `Ada` where `ada` is asked for."""
    found = auth.authenticate_request()
    if isinstance(found, Response) or not found.username:
        raise refusal("This server does not know who asks.")
    return str(auth.store.get_user(found.username).username)
