"""Messages of a stage to the user: one line when it is done, a progress display on a terminal, plain lines in a log.

TensorFlow, its converters and MLflow write pages of messages to stderr, from Python and from C++. `quiet` redirects
these to a file and shows them only if the stage ends with an unexpected error. Octavo's own messages go through `say`
to the original stderr of the process.
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
"""How many bytes of the held messages are shown if a stage fails: the last ones."""

_said: list[TextIO] = []
"""The original stderr of the process, after `quiet`; empty before."""
_held: list[IO[bytes]] = []
"""The file with the held messages, after `quiet`; empty before."""


def quiet() -> None:
    """From now on, hold back what libraries write to stderr, until the process ends."""
    if _said:
        return
    sys.stderr.flush()
    _said.append(os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace"))
    _held.append(tempfile.TemporaryFile())  # noqa: SIM115 - open until the process ends
    os.dup2(_held[0].fileno(), 2)
    sys.excepthook = _tell_error
    faulthandler.enable(stream())  # a crash in C++ ends the process without an exception


def stage(main: Callable[..., str]) -> Callable[..., None]:
    """Decorator for a DVC stage: prints its result and its seconds; turns an error into a sentence and an exit code.

    Args:
        main: does the stage's work, and returns the result as one short line.
    """

    @wraps(main)
    def run(*arguments: str) -> None:
        with boundary(say):
            done = main(*arguments)
        say(f"{done} ({time.monotonic() - BEGUN:.1f} s)")

    return run


def say(sentence: str) -> None:
    """Print a line to the user, even if `quiet` holds back stderr."""
    print(sentence, file=stream(), flush=True)


def stream() -> TextIO:
    """The original stderr of the process, which the user sees."""
    return _said[0] if _said else sys.stderr


@contextmanager
def counter(what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Show progress and time on a terminal; nothing in a log. Yields a function to call after each step.

    Args:
        what: name of the work, in a few words.
        total: number of steps. If it is unknown (None), only the time is shown.
    """
    console = Console(file=stream())
    columns = Progress.get_default_columns() if total else (SpinnerColumn(), TextColumn("{task.description}"))
    shown = Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal, transient=True)
    with shown:
        task = shown.add_task(what, total=total)
        yield lambda: shown.advance(task)


def _tell_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the held messages and the traceback of an unexpected error, because the reason may be in either.

    A missing extra is also reported here, because a stage imports its libraries before its `boundary` begins.

    Args:
        kind: class of the exception.
        error: the exception.
        trace: its traceback.
    """
    if isinstance(error, ModuleNotFoundError) and (said := extras.sentence(error)):
        say(f"octavo: {said}")
        return
    size = _held[0].seek(0, os.SEEK_END)
    _held[0].seek(max(0, size - MOST))
    stream().write(_held[0].read().decode("utf-8", "replace"))
    traceback.print_exception(kind, error, trace, file=stream())
    stream().flush()
