"""Processes that contend for the mutex. They are forked from a server that has imported MLflow once for all."""

import multiprocessing
import os
import subprocess
import time
from multiprocessing.context import ForkServerProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from uuid import uuid4

from mlflow import MlflowClient

from octavo.evaluation.scorecard import load_scorecards
from octavo.project import paths
from octavo.project.params.params import load_params
from octavo_mlflow.registration import register
from octavo_mlflow.registry.mutex import lease, mutex

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["octavo_mlflow.registration.register"])
PATIENCE = 60.0
"""Seconds in which every process has to reach a barrier, or to answer."""


def start(target: Any, *arguments: object) -> ForkServerProcess:
    process = FORKS.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def take_turns(uri: str, name: str, turns: int, diary: Path) -> None:
    """Enter `turns` times, and note each coming and going."""
    client = MlflowClient(uri)
    for _ in range(turns):
        with mutex.held(client, name, "register", wait=PATIENCE) as still_held, diary.open("a") as notes:
            still_held()
            notes.write(f"{os.getpid()} comes\n")
            notes.flush()
            time.sleep(0.01)
            notes.write(f"{os.getpid()} goes\n")


def rush(uri: str, name: str, dead: list[bool], barrier: Barrier, answers: "Queue[tuple[int, int, str]]") -> None:
    """Try to enter at the same moment as the others, without waiting for them; in some rounds past a dead lock."""
    client = MlflowClient(uri)
    for number, is_dead in enumerate(dead):
        if barrier.wait(PATIENCE) == 0 and is_dead:
            leave_behind(client, name)
        barrier.wait(PATIENCE)
        try:
            with mutex.held(client, name, "promote"):
                answers.put((number, os.getpid(), "won"))
                barrier.wait(PATIENCE)
        except mutex.Busy as error:
            answers.put((number, os.getpid(), str(error)))
            barrier.wait(PATIENCE)


def left(client: MlflowClient, name: str) -> list[str]:
    """What the registry shows of the model and its locks."""
    return [found.name for found in client.search_registered_models(f"name LIKE '{name}%'")]


def leave_behind(client: MlflowClient, name: str) -> None:
    """The lock of a process of this machine that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    tags = lease.tags(uuid4().hex, "rollback", lease.now() + lease.LEASE)
    client.create_registered_model(f"{name}.lock", tags | {"pid": str(process.pid)})


def hold(uri: str, name: str, machine: str | None, pids: "Queue[int]") -> None:
    """Enter, on another machine where one is named, and stay until killed."""
    if machine:
        lease._machine = lambda: machine
    with mutex.held(MlflowClient(uri), name, "nightly"):
        pids.put(os.getpid())
        time.sleep(600)


def register_at_once(project: Path, uri: str, barrier: Barrier, added: "Queue[list[str]]") -> None:
    """Register the project's scorecards at the same moment as the others."""
    os.chdir(project)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    scorecards, params = load_scorecards(paths.SCORECARDS), load_params()
    barrier.wait(PATIENCE)
    added.put(register.register(scorecards, params).added)
