"""A process that answers line by line, and is started again if it ended."""

import sys
from pathlib import Path

import pytest

from octavo.backends.litert.line_process import Ended, ask

ECHO = """\
import os, sys
for line in sys.stdin:
    word = line.strip()
    if word == "abort":
        os.abort()
    if word.isdigit():
        sys.exit(int(word))
    print(os.getpid() if word == "pid" else word, flush=True)
"""


def asked(line: str) -> str:
    return ask((sys.executable, "-c", ECHO), Path("/"), line)


def test_one_process_answers_question_after_question() -> None:
    assert [asked("a"), asked(""), asked("b c")] == ["a", "", "b c"]
    assert asked("pid") == asked("pid")


@pytest.mark.parametrize(("last", "said"), [("abort", "signal 6"), ("3", "exit code 3"), ("0", "exit code 0")])
def test_a_process_that_ended_is_told_and_started_again(last: str, said: str) -> None:
    before = asked("pid")
    with pytest.raises(Ended, match=f"^{said}$"):
        asked(last)
    assert asked("pid") != before
