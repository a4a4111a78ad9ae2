import os
import subprocess
import time
from datetime import timedelta

import pytest
from mlflow.entities.model_registry import RegisteredModel, RegisteredModelTag

from octavo_mlflow.registry.mutex import lease
from octavo_mlflow.registry.mutex.lease import Holder
from tests.octavo_mlflow.measured_project import Later


def held_by(pid: int, **others: str) -> Holder:
    """The holder that a lock of that process names; `others` are tags that are not of this machine."""
    tags = lease.tags("token", "promote", lease.now() + lease.LEASE) | {"pid": str(pid)} | others
    now = int(time.time() * 1000)
    return lease.read(RegisteredModel("octavo.lock", now, now, tags=[RegisteredModelTag(*tag) for tag in tags.items()]))


def test_a_holder_says_who_it_is_and_until_when() -> None:
    expected = rf"{lease.owner()} (process {os.getpid()}), for promote, since {lease.now():%Y-%m-%d %H:}"
    assert str(held_by(os.getpid())).startswith(expected)
    assert str(held_by(os.getpid())).endswith(" UTC")


def test_a_process_is_dead_when_it_has_ended_whether_or_not_its_parent_noticed() -> None:
    process = subprocess.Popen(["sleep", "600"])
    assert not held_by(process.pid).is_dead()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and its number is still taken
    assert held_by(process.pid).is_dead()
    process.wait()
    assert held_by(process.pid).is_dead()
    assert not held_by(process.pid, machine="another").is_dead()


def test_a_process_that_lives_or_cannot_be_seen_is_dead_only_after_its_lease(later: Later) -> None:
    holders = [held_by(os.getpid()), held_by(1), held_by(os.getpid(), machine="another")]
    later(lease.LEASE + lease.CLOCK_SKEW - timedelta(seconds=5))
    assert [found.is_dead() for found in holders] == [False, False, False]
    later(timedelta(seconds=10))
    assert [found.is_dead() for found in holders] == [True, True, True]


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    assert lease.owner().startswith(f"uid{os.getuid()}@")
