"""`mlflow server --app-name octavo-basic-auth`: the gate of `octavo` in MLflow's basic-auth app.

Who may manage a registered model may move its aliases against the verdict, with a reason, which is recorded.
"""

import fcntl
from pathlib import Path

from fastapi import FastAPI
from flask import Flask
from mlflow.server import auth

from mlflow_plugins.app import keep_gate


def create_app() -> FastAPI | Flask:
    """MLflow's basic-auth app with the gate in it.

    Without a policy the server ends, and does not start the worker again.

    Raises:
        MlflowException: basic-auth lacks a setting.
    """
    keep_gate(lambda: auth.sender_is_admin() or auth.validate_can_manage_registered_model())
    with Path(__file__).open("rb") as turn:  # the first worker makes the tables of users, the others find them
        fcntl.flock(turn, fcntl.LOCK_EX)
        return auth.create_app()
