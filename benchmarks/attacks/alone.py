"""A function in a process of its own, forked from this one: what it leaves open, or does to itself, ends with it."""

import os
import pickle
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Died:
    """What came of a function that did not return: its traceback, or the signal that ended the process."""

    why: str


def alone(function: Callable[[], Any], patience: float = 120.0) -> Any:
    """What `function` returns, or how it died; it is killed after `patience` seconds."""
    with tempfile.TemporaryFile() as told:
        child = forked(function, told.fileno())
        status = waited(child, patience)
        told.seek(0)
        answer = told.read()
    if not answer:
        return Died("it came to no end" if status is None else f"wait status {status}")
    return pickle.loads(answer)  # noqa: S301 # of our own child


def surely(function: Callable[[], Any], patience: float = 300.0) -> Any:
    """As `alone`, where it has to return.

    Raises:
        RuntimeError: it died.
    """
    match alone(function, patience):
        case Died(why):
            raise RuntimeError(why)
        case made:
            return made


def forked(function: Callable[[], Any], told: int | None = None) -> int:
    """The process that runs `function`, and writes what came of it to the file descriptor `told`."""
    child = os.fork()
    if child:
        return child
    os.setpgid(0, 0)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        answer = function()
    except BaseException:  # noqa: BLE001 # to be told
        answer = Died(traceback.format_exc())
    if told is not None:
        with os.fdopen(told, "wb", closefd=False) as file:
            pickle.dump(answer, file)
    os._exit(0)


def waited(child: int, patience: float) -> int | None:
    """The wait status of a process; None where it had to be killed."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        time.sleep(0.002)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
