"""A process that answers line by line, and is started again if it ended."""

import subprocess
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


def test_it_has_ended_when_the_process_that_asked_ends(tmp_path: Path) -> None:
    slow = "import pathlib, sys, time\nfor line in sys.stdin:\n    print('', flush=True)\ntime.sleep(0.5)\n"
    slow += f"pathlib.Path({str(tmp_path / 'ended')!r}).touch()"
    asks = "from octavo.backends.litert.line_process import ask\n"
    asks += f"from pathlib import Path; import sys; ask((sys.executable, '-c', {slow!r}), Path('/'), '')"
    subprocess.run([sys.executable, "-c", asks], check=True)
    assert (tmp_path / "ended").exists()
