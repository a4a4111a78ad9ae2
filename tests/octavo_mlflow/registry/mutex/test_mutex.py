import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from octavo_mlflow.registry.mutex import lease, lock, mutex
from tests.octavo_mlflow import contenders
from tests.octavo_mlflow.contenders import FORKS, PATIENCE, left
from tests.octavo_mlflow.measured_project import Later

Successor = Callable[[], None]
ROUNDS = {"sqlite": 5, "server_sqlite": 5, "server_postgresql": 50 if "OCTAVO_EXAMPLES" in os.environ else 10}
"""More where CI has a night's time."""


@pytest.fixture
def client(store: str) -> MlflowClient:
    return MlflowClient(store)


@pytest.mark.slow
def test_one_process_at_a_time_is_inside(store: str, client: MlflowClient, name: str, tmp_path: Path) -> None:
    diary, turns = tmp_path / "diary", 4
    processes = [contenders.start(contenders.take_turns, store, name, turns, diary) for _ in range(3)]
    for process in processes:
        process.join(PATIENCE)
    notes = [line.split() for line in diary.read_text().splitlines()]
    comes, goes = notes[::2], notes[1::2]
    assert [pid for pid, what in comes if what == "comes"] == [pid for pid, what in goes if what == "goes"]
    assert Counter(pid for pid, _ in comes) == {str(process.pid): turns for process in processes}
    assert left(client, name) == []


@pytest.mark.slow
def test_of_those_who_come_at_once_one_wins_and_the_others_are_told_who(
    store: str, client: MlflowClient, name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = [number % 5 == 2 for number in range(ROUNDS[request.node.callspec.params["store"]])]
    barrier, queue = FORKS.Barrier(3), FORKS.Queue()
    processes = [contenders.start(contenders.rush, store, name, dead, barrier, queue) for _ in range(3)]
    answers: list[dict[int, str]] = [{} for _ in dead]
    for _ in processes * len(dead):
        number, pid, answer = queue.get(timeout=PATIENCE)
        answers[number][pid] = answer
    for process in processes:
        process.join(PATIENCE)
    for found in answers:
        (winner,) = [pid for pid, answer in found.items() if answer == "won"]
        busy = f"{name} is being changed by {lease.owner()} (process {winner}), for promote, since 20"
        others = [answer for pid, answer in found.items() if pid != winner]
        assert [other[: len(busy)] for other in others] == [busy, busy]

    assert len(left(client, name)) == sum(dead)  # the tombstones, which stay for an hour
    monkeypatch.setattr(lock, "TOMBSTONE", timedelta(0))
    with mutex.held(client, name, "promote"):
        pass
    assert left(client, name) == []


@pytest.mark.slow
def test_who_is_killed_is_succeeded_at_once_on_the_same_machine(store: str, client: MlflowClient, name: str) -> None:
    pids = FORKS.Queue()
    process = contenders.start(contenders.hold, store, name, None, pids)
    with pytest.raises(mutex.Busy, match=rf"\(process {pids.get(timeout=PATIENCE)}\), for nightly, since 20"):
        mutex.held(client, name, "promote").__enter__()
    process.kill()
    process.join()
    with mutex.held(client, name, "promote") as still_held:
        still_held()


@pytest.mark.slow
def test_who_is_killed_is_succeeded_after_the_lease_on_another_machine(
    store: str, client: MlflowClient, name: str, later: Later
) -> None:
    pids = FORKS.Queue()
    process = contenders.start(contenders.hold, store, name, "another", pids)
    pids.get(timeout=PATIENCE)
    process.kill()
    process.join()
    for wait in (timedelta(0), lease.LEASE):
        later(wait)
        with pytest.raises(mutex.Busy, match="its lease ends at 20"):
            mutex.held(client, name, "promote").__enter__()
    later(lease.CLOCK_SKEW)
    with mutex.held(client, name, "promote") as still_held:
        still_held()


class Sleeper(MlflowClient):
    """A client that falls asleep once, after it looked or before it changes anything, while others go on."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.meanwhile: dict[str, Callable[[], object]] = {}

    def get_registered_model(self, name: str) -> RegisteredModel:
        found = super().get_registered_model(name)
        self._sleep("get")
        return found

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        self._sleep("rename")
        return super().rename_registered_model(name, new_name)

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self._sleep("set tag")
        super().set_registered_model_tag(name, key, value)

    def _sleep(self, when: str) -> None:
        self.meanwhile.pop(when, lambda: None)()


@pytest.fixture
def sleeper(store: str) -> Sleeper:
    return Sleeper(store)


@pytest.fixture
def successor(client: MlflowClient, name: str) -> Iterator[Successor]:
    """Another process, as it were, which enters when it is asked to; then asks whether it is still inside."""
    with ExitStack() as inside:
        still_held: list[Callable[[], None]] = []

        def ask() -> None:
            if not still_held:
                still_held.append(inside.enter_context(mutex.held(client, name, "rollback")))
            still_held[0]()

        yield ask


@pytest.mark.parametrize("others", [0, 1])
def test_who_sleeps_while_others_take_over_from_the_dead_steals_nothing(
    client: MlflowClient, sleeper: Sleeper, name: str, successor: Successor, others: int
) -> None:
    def take_over() -> None:
        for _ in range(others):
            with mutex.held(client, name, "register"):
                pass
        successor()

    contenders.leave_behind(client, name)
    sleeper.meanwhile["rename"] = take_over
    with pytest.raises(mutex.Busy, match="for rollback"):
        mutex.held(sleeper, name, "promote").__enter__()
    successor()


def test_who_sleeps_while_a_lease_is_renewed_does_not_take_the_holder_for_dead(
    client: MlflowClient, sleeper: Sleeper, name: str, later: Later
) -> None:
    def renew() -> None:
        later(lease.LEASE * 0.6)
        still_held()
        later(lease.LEASE * 0.6)

    with mutex.held(client, name, "register") as still_held:
        sleeper.meanwhile["get"] = renew
        with pytest.raises(mutex.Busy, match="for register"):
            mutex.held(sleeper, name, "promote").__enter__()
        still_held()


def test_who_sleeps_before_it_releases_takes_nothing_from_its_successor(
    sleeper: Sleeper, client: MlflowClient, name: str, later: Later, successor: Successor
) -> None:
    def take_over() -> None:
        later(lease.LEASE + lease.CLOCK_SKEW)
        successor()

    with mutex.held(sleeper, name, "promote"):
        sleeper.meanwhile["rename"] = take_over
    successor()


def test_who_releases_late_leaves_a_tombstone_to_those_who_took_it_for_dead(
    sleeper: Sleeper, client: MlflowClient, name: str, later: Later
) -> None:
    with mutex.held(sleeper, name, "promote"):
        sleeper.meanwhile["rename"] = lambda: later(lease.LEASE)
    (tombstone,) = left(client, name)
    assert tombstone.startswith(f"{name}.lock.")


def test_a_renewal_that_comes_late_does_not_count_and_is_not_the_successors(
    sleeper: Sleeper, client: MlflowClient, name: str, later: Later, successor: Successor
) -> None:
    def take_over() -> None:
        later(lease.LEASE * 0.4 + lease.CLOCK_SKEW)
        successor()
        leases.append(lease.read(client.get_registered_model(f"{name}.lock")).expires)

    leases: list[datetime] = []
    with mutex.held(sleeper, name, "register") as still_held:
        later(lease.LEASE * 0.6)
        sleeper.meanwhile["set tag"] = take_over
        for _ in range(2):
            with pytest.raises(mutex.Lost):
                still_held()
    successor()
    assert lease.read(client.get_registered_model(f"{name}.lock")).expires == leases[0]


def test_a_renewal_that_comes_late_does_not_revive_a_lock(
    sleeper: Sleeper, client: MlflowClient, name: str, later: Later
) -> None:
    with mutex.held(sleeper, name, "register") as still_held:
        later(lease.LEASE * 0.6)
        sleeper.meanwhile["set tag"] = lambda: later(lease.LEASE * 0.4)
        for _ in range(2):
            with pytest.raises(mutex.Lost):
                still_held()
    assert left(client, name) == [f"{name}.lock"]  # others may be about to bury it


def test_an_error_inside_releases(client: MlflowClient, name: str) -> None:
    with pytest.raises(MlflowException, match="not found"), mutex.held(client, name, "promote"):
        client.set_registered_model_alias(name, "champion", "1")
    assert left(client, name) == []
    with mutex.held(client, name, "promote"):
        pass


def test_a_lease_is_renewed_while_the_holder_writes(client: MlflowClient, name: str, later: Later) -> None:
    with mutex.held(client, name, "register") as still_held:
        for _ in range(4):
            later(lease.LEASE * 0.6)
            still_held()
            with pytest.raises(mutex.Busy):
                mutex.held(client, name, "promote").__enter__()
    assert left(client, name) == []


def test_whose_lease_ran_out_stops(client: MlflowClient, name: str, later: Later, successor: Successor) -> None:
    with mutex.held(client, name, "register") as still_held:
        later(lease.LEASE)
        with pytest.raises(mutex.Lost, match=f"the lock {name}.lock, held for register, has run out. What"):
            still_held()
        later(lease.CLOCK_SKEW)
        successor()
        with pytest.raises(mutex.Lost, match=r"has run out and is now held by .*, for rollback, since 20"):
            still_held()
    successor()


def test_whose_lock_was_deleted_by_hand_stops(client: MlflowClient, name: str, successor: Successor) -> None:
    with mutex.held(client, name, "register") as still_held:
        client.delete_registered_model(f"{name}.lock")
        with pytest.raises(mutex.Lost):
            still_held()
        successor()
        with pytest.raises(mutex.Lost, match="for rollback"):
            still_held()
    successor()


def test_a_lock_that_is_read_half_is_read_again(
    client: MlflowClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, reads = client.get_registered_model, count()

    def half_at_first(lock: str) -> RegisteredModel:  # as between MLflow's two queries, when somebody renames the lock
        found = whole(lock)
        return RegisteredModel(lock, found.creation_timestamp) if next(reads) == 0 else found

    with mutex.held(client, name, "register"):
        monkeypatch.setattr(client, "get_registered_model", half_at_first)
        with pytest.raises(mutex.Busy, match="for register"):
            mutex.held(client, name, "promote").__enter__()


def test_a_lock_that_says_nothing_of_itself_is_given_a_lease(client: MlflowClient, name: str, later: Later) -> None:
    client.create_registered_model(f"{name}.lock")
    with pytest.raises(mutex.Busy, match="somebody"):
        mutex.held(client, name, "promote").__enter__()
    later(lease.LEASE + lease.CLOCK_SKEW)
    with mutex.held(client, name, "promote") as still_held:
        still_held()


def test_what_the_mutex_is_built_on(client: MlflowClient, name: str) -> None:
    lock, other = f"{name}.lock", f"{name}.lock.dead"
    client.create_registered_model(lock, {"token": "dead"})
    assert _code(lambda: client.create_registered_model(lock)) == "RESOURCE_ALREADY_EXISTS"
    client.rename_registered_model(lock, other)
    assert _code(lambda: client.get_registered_model(lock)) == "RESOURCE_DOES_NOT_EXIST"
    assert client.get_registered_model(other).tags == {"token": "dead"}
    assert _code(lambda: client.rename_registered_model(lock, f"{name}.lock.new")) == "RESOURCE_DOES_NOT_EXIST"
    client.create_registered_model(lock, {"token": "living"})
    assert _code(lambda: client.rename_registered_model(lock, other)) == "RESOURCE_ALREADY_EXISTS"
    assert client.get_registered_model(lock).tags == {"token": "living"}


def _code(attempt: Callable[[], object]) -> str:
    with pytest.raises(MlflowException) as failure:
        attempt()
    return failure.value.error_code
