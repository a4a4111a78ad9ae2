"""The lock of one machine: one holder, named to all others, and freed however that one ends."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from octavo.project.files.file_lock import AlreadyRunning, exclusive

HOLD = """
import sys
from pathlib import Path
from octavo.project.files.file_lock import exclusive
with exclusive(Path(sys.argv[1]), "A test"):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(path: Path) -> "subprocess.Popen[str]":
    """Another process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLD, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_who_holds_it_is_told_and_a_killed_holder_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    other = hold(path)
    taken = pytest.raises(AlreadyRunning, match=rf"A test runs already: process {other.pid}, since 20\d\d-.+\+00:00\.")
    with taken, exclusive(path, "A test"):
        pytest.fail("two hold it")
    os.kill(other.pid, signal.SIGKILL)
    other.communicate()
    with exclusive(path, "A test"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_one_process_does_not_hold_it_twice_and_frees_it_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def fail() -> None:
        with exclusive(path, "A test"):
            with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"), exclusive(path, "A test"):
                pytest.fail("it is held twice")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with exclusive(path, "A test"), pytest.raises(AlreadyRunning), exclusive(path, "A test"):
        pytest.fail("it is held twice")


def test_it_is_the_systems_own_lock(tmp_path: Path) -> None:
    """Processes of other releases, and of other programs, meet at it."""
    path = tmp_path / "lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(AlreadyRunning, match="it began just now"), exclusive(path, "A test"):
            pytest.fail("two hold it")
    with path.open("w") as file, exclusive(path, "A test"), pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
