"""A function in a process of its own, forked from this one: what it leaves open, or does to itself, ends with it."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

FORKS = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Died:
    """What came of a function that did not return: its traceback, or how its process ended."""

    why: str


def alone(function: Callable[[], Any], patience: float = 120.0) -> Any:
    """What `function` returns, or how it died; it is killed after `patience` seconds."""
    ours, theirs = FORKS.Pipe(duplex=False)
    child = forked(function, theirs.send)
    theirs.close()
    try:
        answer = ours.recv() if ours.poll(patience) else Died(f"it came to no end within {patience:g} seconds")
    except EOFError:
        answer = Died("its process ended without a word")
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    ours.close()
    return answer


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


def forked(function: Callable[[], Any], tell: Callable[[Any], object] | None = None) -> int:
    """The process, leader of a group, that runs `function` and tells what came of it."""
    child = os.fork()
    if child:
        with suppress(PermissionError, ProcessLookupError):
            os.setpgid(child, child)
        return child
    os.setpgid(0, 0)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        answer = function()
    except BaseException:  # noqa: BLE001 # to be told
        answer = Died(traceback.format_exc())
    if tell is not None:
        tell(answer)
    os._exit(0)
