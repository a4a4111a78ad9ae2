"""What a stage tells people while it works: a line when it is done, a counter on a terminal, plain lines in a log.

TensorFlow, its converters and MLflow write pages of remarks to stderr, from Python and from C++. `quiet` sends all of
it to a file, and shows it where the stage ends in an error that nobody expected. What Octavo itself has to say goes
through `say`, to the stderr that the process began with.
"""

import faulthandler
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import TracebackType
from typing import IO, TextIO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from octavo.project import extras
from octavo.project.errors import boundary

BEGUN = time.monotonic()
MOST = 20_000
"""Bytes of remarks that are shown where a stage fails: the last ones."""

_said: list[TextIO] = []
"""The stderr that the process began with, while `quiet` holds the other."""
_held: list[IO[bytes]] = []


def quiet() -> None:
    """Keep from now on what others write to stderr, until the process ends."""
    if _said:
        return
    sys.stderr.flush()
    _said.append(os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace"))
    _held.append(tempfile.TemporaryFile())  # noqa: SIM115 - open until the process ends
    os.dup2(_held[0].fileno(), 2)
    sys.excepthook = _tell_error
    faulthandler.enable(stream())  # a crash in C++ ends the process without an exception


def stage(main: Callable[..., str]) -> Callable[..., None]:
    """A DVC stage: prints the sentence that it returns, with its seconds; an error as its sentence and exit code.

    Args:
        main: does the stage's work, and says in a clause what came of it.
    """

    @wraps(main)
    def run(*arguments: str) -> None:
        with boundary(say):
            done = main(*arguments)
        say(f"{done} ({time.monotonic() - BEGUN:.1f} s)")

    return run


def say(sentence: str) -> None:
    """Write a line to people."""
    print(sentence, file=stream(), flush=True)


def stream() -> TextIO:
    """Where people read: the stderr that the process began with."""
    return _said[0] if _said else sys.stderr


@contextmanager
def counter(what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Show on a terminal that `what` is under way; in a log nothing. Yields what to call after each of `total` steps.

    Args:
        what: a few words.
        total: how many steps there are; None where nobody knows, and only the time is shown.
    """
    console = Console(file=stream())
    columns = Progress.get_default_columns() if total else (SpinnerColumn(), TextColumn("{task.description}"))
    shown = Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal, transient=True)
    with shown:
        task = shown.add_task(what, total=total)
        yield lambda: shown.advance(task)


def _tell_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show what others wrote and the error that nobody expected: the reason may be in either.

    A stage imports its libraries before its `boundary` begins: where an extra is missing, that is told here.
    """
    if isinstance(error, ModuleNotFoundError) and (said := extras.sentence(error)):
        say(f"octavo: {said}")
        return
    size = _held[0].seek(0, os.SEEK_END)
    _held[0].seek(max(0, size - MOST))
    stream().write(_held[0].read().decode("utf-8", "replace"))
    traceback.print_exception(kind, error, trace, file=stream())
    stream().flush()
