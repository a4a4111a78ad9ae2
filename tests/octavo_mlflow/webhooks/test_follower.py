"""The command runs once for each champion, one at a time, the latest first, whatever fails on the way."""

import asyncio
import fcntl
import json
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from octavo.project.errors import OctavoError
from octavo_mlflow.webhooks import follower
from octavo_mlflow.webhooks.delivery import FRESH
from octavo_mlflow.webhooks.follower import REMEMBERED, SECRET, Follower

Deploys = Callable[[str], tuple[str, ...]]


@pytest.fixture
def registry(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A registry with three versions of the model `octavo`, none of them champion."""
    store = f"sqlite:///{shutil.copy(empty_store, tmp_path)}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setattr(follower, "PAUSES", (0.01, 0.02))
    client = MlflowClient(store)
    client.create_registered_model("octavo")
    for _ in range(3):
        client.create_model_version("octavo", "somewhere", await_creation_for=0)
    return client


@pytest.fixture
def deploys(tmp_path: Path) -> Deploys:
    """A command that notes for which version it runs and then does more; it fails where another one runs beside."""

    def command(more: str) -> tuple[str, ...]:
        script = tmp_path / "deploy"
        script.write_text(f"#!/bin/sh\nmkdir {tmp_path}/alone || exit 9\n{more}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return (str(script),)

    return command


def follow(tmp_path: Path, command: tuple[str, ...]) -> Follower:
    return Follower("octavo", "champion", command, 0.02, tmp_path)


async def until(followed: Follower, reached: Callable[[], bool]) -> None:
    """Follow until that is so, and for a moment longer."""
    task = asyncio.create_task(followed.follow())
    for _ in range(3000):
        if reached() or task.done():
            break
        await asyncio.sleep(0.02)
    assert reached()
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def noted(tmp_path: Path) -> list[str]:
    path = tmp_path / "noted"
    return path.read_text().split() if path.exists() else []


def test_it_runs_once_for_each_champion_also_after_a_restart(
    registry: MlflowClient, deploys: Deploys, tmp_path: Path
) -> None:
    command = deploys(f"echo $OCTAVO_MODEL.$OCTAVO_ALIAS.$OCTAVO_VERSION >> {tmp_path}/noted; rmdir {tmp_path}/alone")
    asyncio.run(until(follow(tmp_path, command), lambda: True))
    assert noted(tmp_path) == []
    for version in ("1", "2", "1"):
        registry.set_registered_model_alias("octavo", "champion", version)
        followed = follow(tmp_path, command)
        asyncio.run(until(followed, lambda: followed.memory.version == version))  # noqa: B023 - run at once
        followed.wake.set()
        asyncio.run(until(follow(tmp_path, command), lambda: True))
    assert noted(tmp_path) == [f"octavo.champion.{version}" for version in ("1", "2", "1")]
    registry.delete_registered_model_alias("octavo", "champion")
    asyncio.run(until(follow(tmp_path, command), lambda: True))
    assert len(noted(tmp_path)) == 3


def test_what_comes_while_it_runs_waits_and_the_latest_wins(
    registry: MlflowClient, deploys: Deploys, tmp_path: Path
) -> None:
    slow = f"echo $OCTAVO_VERSION >> {tmp_path}/noted; sleep 0.5; rmdir {tmp_path}/alone"
    registry.set_registered_model_alias("octavo", "champion", "1")
    followed = follow(tmp_path, deploys(slow))

    async def moved_twice_meanwhile() -> None:
        following = asyncio.create_task(until(followed, lambda: followed.memory.version == "3"))
        while not noted(tmp_path):
            await asyncio.sleep(0.01)
        for version in ("2", "3"):
            registry.set_registered_model_alias("octavo", "champion", version)
            followed.wake.set()
        await following

    asyncio.run(moved_twice_meanwhile())
    assert noted(tmp_path) == ["1", "3"]


def test_a_command_that_fails_is_tried_again(
    registry: MlflowClient, deploys: Deploys, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fails_twice = (
        f"echo $OCTAVO_VERSION >> {tmp_path}/noted; rmdir {tmp_path}/alone; test $(wc -l < {tmp_path}/noted) = 3"
    )
    registry.set_registered_model_alias("octavo", "champion", "2")
    followed = follow(tmp_path, deploys(fails_twice))
    asyncio.run(until(followed, lambda: followed.memory.version == "2"))
    assert noted(tmp_path) == ["2", "2", "2"]
    stderr = capfd.readouterr().err
    assert stderr.count("for version 2 of octavo: exit code 1. Trying again, with growing pauses.") == 1
    assert stderr.rstrip().endswith("octavo: done for version 2 of octavo")


def test_a_command_that_cannot_be_run_is_said_so(
    registry: MlflowClient, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    registry.set_registered_model_alias("octavo", "champion", "2")
    said = ""

    def told() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return "it cannot be run: Permission denied" in said

    asyncio.run(until(follow(tmp_path, ("/etc/passwd",)), told))


def test_the_command_gets_the_event_but_not_the_secret(
    registry: MlflowClient, deploys: Deploys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, "swordfish")
    registry.set_registered_model_alias("octavo", "champion", "2")
    followed = follow(
        tmp_path, deploys(f"cat > {tmp_path}/event; env > {tmp_path}/environment; rmdir {tmp_path}/alone")
    )
    asyncio.run(until(followed, lambda: followed.memory.version == "2"))
    event = json.loads((tmp_path / "event").read_text())
    assert (event["entity"], event["action"]) == ("model_version_alias", "created")
    assert event["data"] == {"name": "octavo", "alias": "champion", "version": "2"}
    assert "swordfish" not in (tmp_path / "environment").read_text()


def test_a_command_that_reads_nothing_does_not_mind(registry: MlflowClient, tmp_path: Path) -> None:
    registry.set_registered_model_alias("octavo", "champion", "2")
    followed = follow(tmp_path, ("/bin/true",))
    asyncio.run(until(followed, lambda: followed.memory.version == "2"))


def test_stopping_ends_the_command_and_what_it_started(
    registry: MlflowClient, deploys: Deploys, tmp_path: Path
) -> None:
    registry.set_registered_model_alias("octavo", "champion", "2")
    followed = follow(tmp_path, deploys(f"sleep 100 & echo $! $$ > {tmp_path}/noted; wait"))
    asyncio.run(until(followed, lambda: len(noted(tmp_path)) == 2))
    assert followed.memory.version is None
    deadline = time.monotonic() + 5  # a busy machine ends a process late
    while not (ended := all(is_over(pid) for pid in noted(tmp_path))) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ended


def is_over(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_command_that_outlived_a_killed_receiver_is_not_run_beside(
    registry: MlflowClient, deploys: Deploys, tmp_path: Path
) -> None:
    registry.set_registered_model_alias("octavo", "champion", "2")
    command = deploys(f"echo $OCTAVO_VERSION >> {tmp_path}/noted; rmdir {tmp_path}/alone")
    with (tmp_path / "running").open("w") as still_runs:
        fcntl.flock(still_runs, fcntl.LOCK_EX)
        asyncio.run(until(follow(tmp_path, command), lambda: True))
        assert noted(tmp_path) == []
    followed = follow(tmp_path, command)
    asyncio.run(until(followed, lambda: followed.memory.version == "2"))
    assert noted(tmp_path) == ["2"]


def test_an_mlflow_that_is_away_is_waited_for(
    registry: MlflowClient, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    registry.set_registered_model_alias("octavo", "champion", "2")
    store = Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///"))
    followed = follow(tmp_path, ("/bin/true",))
    here, away = store.read_bytes(), b"no database" * 1000

    async def back_after_a_while() -> None:
        following = asyncio.create_task(until(followed, lambda: followed.memory.version == "2"))
        while followed._failures < 3:
            await asyncio.sleep(0.01)
        store.write_bytes(here)
        await following

    store.write_bytes(away)
    asyncio.run(back_after_a_while())
    assert capfd.readouterr().err.count("cannot be used") == 1


def test_deliveries_are_remembered_while_they_are_fresh_and_no_longer(tmp_path: Path) -> None:
    assert follow(tmp_path, ("true",)).is_new("a", now=1000) is True
    again = follow(tmp_path, ("true",))
    assert again.is_new("a", now=1000 + 2 * FRESH) is False
    assert again.is_new("b", now=1000 + 2 * FRESH + 1) is True
    assert set(again.memory.deliveries) == {"b"}
    again.memory.deliveries = dict.fromkeys(map(str, range(REMEMBERED)), 2000.0)
    assert again.is_new("c", now=2001) is None
    assert again.is_new("c", now=2001 + 2 * FRESH) is True


def test_a_memory_that_was_damaged_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "memory.json").write_text("{")
    with pytest.raises(OctavoError, match="Delete it: the command then runs once for the present champion"):
        follow(tmp_path, ("true",))
