"""The mutex while processes stall and die at any moment, call by call.

The registry here is a model of MLflow's, for the sake of many such moments; `test_mutex` holds the real stores to the
same behavior.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import groupby
from types import SimpleNamespace
from typing import Any, cast

import pytest
from greenlet import GreenletExit, getcurrent, greenlet
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel, RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST

from octavo_mlflow.registry.mutex import lease, mutex

MACHINES = ("here", "here", "there", "there")
SKEWS = (-29.0, 0.0, 29.0, 0.0)
"""Seconds by which the processes' clocks are off; any two differ by less than the mutex allows for."""
CALL = 0.5
"""Seconds until the registry acts, and again until its answer is there."""
DEATH = float("inf")
LAST = len(MACHINES) - 1
PLANS = st.dictionaries(
    st.tuples(st.integers(0, LAST - 1), st.integers(1, 24)),
    st.sampled_from([20.0, 330.0, 700.0, 1500.0, DEATH]),
    max_size=6,
)
"""Which process stalls at which of its moments, and for how many seconds. The last comes when the others are gone."""


class Registry:
    """What MLflow does, each in one transaction."""

    def __init__(self) -> None:
        self.models: dict[str, tuple[dict[str, str], int]] = {}
        self.seconds = 0.0

    @property
    def time(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=self.seconds)

    def create_registered_model(self, name: str, tags: dict[str, str], description: str) -> None:
        if name in self.models:
            raise MlflowException(name, RESOURCE_ALREADY_EXISTS)
        self.models[name] = (dict(tags), self._milliseconds())

    def get_registered_model(self, name: str) -> RegisteredModel:
        tags, changed = self._found(name)
        return RegisteredModel(name, changed, changed, tags=[RegisteredModelTag(*tag) for tag in tags.items()])

    def rename_registered_model(self, name: str, new_name: str) -> None:
        if name not in self.models:
            raise MlflowException(name, BAD_REQUEST)
        if new_name in self.models:
            raise MlflowException(new_name, RESOURCE_ALREADY_EXISTS)
        self.models[new_name] = (self.models.pop(name)[0], self._milliseconds())

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self._found(name)[0][key] = value

    def delete_registered_model(self, name: str) -> None:
        self._found(name)
        del self.models[name]

    def search_registered_models(self, condition: str) -> list[RegisteredModel]:
        return [self.get_registered_model(name) for name in self.models if name.startswith("model.lock.")]

    def _found(self, name: str) -> tuple[dict[str, str], int]:
        if name not in self.models:
            raise MlflowException(name, RESOURCE_DOES_NOT_EXIST)
        return self.models[name]

    def _milliseconds(self) -> int:
        return int(self.time.timestamp() * 1000)


class Process:
    """A contender, and the client of its own. It takes three turns, and stalls or dies where the plan says so."""

    def __init__(self, pid: int, world: "World") -> None:
        self.pid, self.world, self.moments = pid, world, 0
        self.wakes = 10800.0 if pid == LAST else 0.0
        self.work = greenlet(self._take_turns)

    def pause(self, seconds: float = CALL) -> None:
        self.moments += 1
        self.wakes += self.world.plan.get((self.pid, self.moments), 0.0)  # the dead stay dead, and clean nothing up
        if self.wakes == DEATH:
            raise GreenletExit
        self.wakes += seconds
        self.world.scheduler.switch()

    def _take_turns(self) -> None:
        for number in range(3):
            with suppress(mutex.Lost, mutex.Busy):
                self._hold((self.pid, number))

    def _hold(self, turn: tuple[int, int]) -> None:
        with mutex.held(cast("MlflowClient", self), "model", "test", wait=3600) as still_held:
            for _ in range(2):
                still_held()
                began = self.world.registry.time
                self.world.writes.append(turn)
                self.pause()
                if self.world.registry.time - began < lease.LEASE / 2:  # a write that takes longer has no promise
                    self.world.writes.append(turn)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.pause()
            self.world.watch(method, *arguments)
            try:
                return getattr(self.world.registry, method)(*arguments)
            finally:
                self.pause()

        return call


class World:
    """Some processes around one registry, and their clocks."""

    def __init__(self, plan: dict[tuple[int, int], float], patch: pytest.MonkeyPatch) -> None:
        self.plan, self.registry, self.scheduler = plan, Registry(), getcurrent()
        self.writes: list[tuple[int, int]] = []
        self.stolen: list[int] = []
        self.late: set[str] = set()
        self.processes = [Process(pid, self) for pid in range(len(MACHINES))]
        self.current = self.processes[0]
        patch.setattr(mutex, "time", SimpleNamespace(sleep=self.sleep, monotonic=lambda: self.registry.seconds))
        patch.setattr(mutex, "PAUSES", (0.05, 15.0))  # for the test's sake, not the mutex's
        patch.setattr(mutex.log, "disabled", True)
        patch.setattr(lease, "now", lambda: self.registry.time + timedelta(seconds=SKEWS[self.current.pid]))
        patch.setattr(lease, "owner", lambda: f"process {self.current.pid}")
        patch.setattr(lease, "_machine", lambda: MACHINES[self.current.pid])
        patch.setattr(lease, "_has_ended", lambda pid: self.processes[pid].work.dead)
        patch.setattr(lease, "os", SimpleNamespace(getpid=lambda: self.current.pid))

    def sleep(self, seconds: float) -> None:
        self.current.pause(seconds)

    def run(self) -> None:
        """Let each process go on when it wakes, until all have ended."""
        for _ in range(20_000):
            alive = [process for process in self.processes if not process.work.dead]
            if not alive:
                return
            self.current = min(alive, key=lambda process: process.wakes)
            self.registry.seconds = self.current.wakes
            self.current.work.switch()
        pytest.fail("somebody waits forever")

    def watch(self, method: str, name: str, *arguments: object) -> None:
        """Note when a living process loses a lock within the lease that it can rely on."""
        if name != "model.lock" or name not in self.registry.models:
            return
        victim = lease.read(self.registry.get_registered_model(name))
        if self.registry.time + timedelta(seconds=SKEWS[victim.pid]) >= victim.expires:
            self.late.add(victim.token)  # for good: a renewal that comes now does not count
        takes = method == "delete_registered_model"
        takes |= method == "rename_registered_model" and arguments[0] not in self.registry.models
        another = victim.pid != self.current.pid and not self.processes[victim.pid].work.dead
        if takes and another and victim.token not in self.late:
            self.stolen.append(victim.pid)


@given(PLANS)
@settings(max_examples=150, deadline=None)
def test_no_living_lock_is_stolen_no_writes_mix_and_no_lock_stays(plan: dict[tuple[int, int], float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world = World(plan, patch)
        world.run()
    turns = [turn for turn, _ in groupby(world.writes)]
    assert len(turns) == len(set(turns)), world.writes
    assert world.stolen == []
    assert "model.lock" not in world.registry.models
