"""Ask another process, one line for each question and one for each answer.

The process is started at the first question, answers until this process ends, and is started again if it ended itself.
So what it imports is imported once, and a crash in it ends nothing else.
"""

import os
import subprocess
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from threading import Lock

Program = tuple[str, ...]

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
    """The process that answers. It ends with this process.

    Args:
        program: as for `ask`.
        home: as for `ask`.
        _pid: id of this process, so that a fork of it starts its own.
    """
    return subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=home, text=True
    )
