"""Ask another process, one line for each question and one for each answer.

The process is started at the first question, answers until this process ends, and is started again if it ended itself.
So what it imports is imported once, and a crash in it ends nothing else.
"""

import atexit
import os
import subprocess
from collections import defaultdict
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock

Program = tuple[str, ...]
PATIENCE = 10.0
"""Seconds in which the process must end, once it can read no more questions."""

_turns: dict[Program, Lock] = defaultdict(Lock)
"""Allows one question at a time for each program."""


class Ended(Exception):
    """The process ended instead of answering."""

    def __init__(self, code: int) -> None:
        """`code` is its exit code, or minus the number of the signal that ended it."""
        super().__init__(f"signal {-code}" if code < 0 else f"exit code {code}")


def ask(program: Program, home: Path, line: str) -> str:
    """The answer of a program to one line, without its line feed.

    Args:
        program: the command, which reads questions from stdin and answers on stdout. Its stderr is not read.
        home: its working directory. Not the caller's, because modules there could be imported.
        line: the question, without a line feed.

    Raises:
        Ended: the process ended instead of answering. The next question starts it again.
    """
    with _turns[program]:
        process = started(program, home, os.getpid())
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            started.cache_clear()
            raise Ended(process.wait())
    return answer.rstrip("\n")


@lru_cache
def started(program: Program, home: Path, _pid: int) -> "subprocess.Popen[str]":
    """The process that answers. It ends with this process, which waits for it.

    So nothing stays behind, and a command's CPU time includes what was done for it.

    Args:
        program: as for `ask`.
        home: as for `ask`.
        _pid: id of this process, so that a fork of it starts its own.
    """
    process = subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=home, text=True
    )
    atexit.register(_end, process, os.getpid())
    return process


def _end(process: "subprocess.Popen[str]", owner: int) -> None:
    """Let the process end, unless this is a fork of its owner."""
    if os.getpid() != owner:
        return
    assert process.stdin
    with suppress(OSError):  # it has ended already
        process.stdin.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
