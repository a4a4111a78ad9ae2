"""Nights of a real project, with a real MLflow server: killed in its stages, out of disk, out of reach, well again.

`benchmarks/nights.py` kills them in every stage. The tests are one story and run in their order: each leaves the
project as the next one finds it.
"""

import os
import signal
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests import servers
from tests.end_to_end.nights import DIGITS, PATIENCE, VARIANTS, Nights, full_disk, group, is_alive, made_in, state
from tests.end_to_end.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.end_to_end, pytest.mark.timeout(900)]

KILLED = ("prepare", "network", "report", "register")


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Nights:
    """Over PostgreSQL where it is installed, else over SQLite."""
    project, store = Project(tmp_path_factory.mktemp("nights")), tmp_path_factory.mktemp("store")
    is_there = servers.postgresql_programs() is not None
    database = servers.new_database(request.getfixturevalue("postgresql")) if is_there else f"sqlite:///{store}/db"
    return made_in(project, store, database)


def stages(project: Project) -> list[str]:
    return project.run("dvc", "stage", "list", "--name-only").split()


def test_killed_in_a_stage_it_goes_on_where_it_stood(nights: Nights) -> None:
    """In turn the watching process is killed, the night's own, and the stage's."""
    names = [name for name in stages(nights.project) if name.partition("@")[0] in KILLED]
    with nights.mlflow() as client:
        for place, stage in enumerate(names):
            process = nights.start()
            nights.await_stage(stage)
            below = group(process.pid)
            victim = [process.pid, below[0], below[-1]][place % 3]
            os.kill(victim, signal.SIGKILL)
            process.communicate(timeout=PATIENCE)
            deadline = time.monotonic() + PATIENCE
            while any(map(is_alive, below)) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not any(map(is_alive, below)), f"{stage} goes on"
        code, record = nights.run()
        assert (code, record["outcome"]) == (0, "promoted"), record
        assert set(record["stages"]) == {"code", "register"}, "what was done before is not done again"
        runs, versions, aliases = state(client)
        assert runs == versions == dict.fromkeys(VARIANTS, 1)
        assert len(set(aliases.values())) == 1
        assert "the chain is whole" in octavo(nights, "audit")
        outcomes = [each["outcome"] for each in nights.records()]
        assert len(outcomes) == len(names) + 1
        assert set(outcomes[:-1]) <= {"killed", "failed"}
        assert nights.told() == [("failure", outcome) for outcome in outcomes[:-1]] + [("recovery", "promoted")]
        shown = client.get_experiment_by_name("octavo.nightly")
        assert shown
        shown_runs = Counter(run.info.run_name for run in client.search_runs([shown.experiment_id]))
        assert shown_runs == Counter(each["name"] for each in nights.records())
    assert (nights.folder / "heartbeat").exists()


def octavo(nights: Nights, *arguments: str) -> str:
    return nights.project.run("octavo", *arguments, MLFLOW_TRACKING_URI=nights.uri)


def test_an_idle_night_adds_nothing_and_a_second_one_at_once_is_told_who_runs(nights: Nights) -> None:
    with nights.mlflow() as client:
        before = state(client)
        first = nights.start()
        nights.await_stage("register")
        second, due = nights.start(), nights.start("--due", "00:00 UTC")
        _, said = second.communicate(timeout=PATIENCE)
        assert (second.returncode, f"A night runs already: process {first.pid}, since" in said) == (3, True)
        assert due.communicate(timeout=PATIENCE) == ("", "")
        assert due.returncode == 0
        first.communicate(timeout=PATIENCE)
        record = nights.records()[-1]
        assert (first.returncode, record["outcome"], record["stages"]) == (0, "unchanged", ["code", "register"])
        assert state(client) == before
        assert nights.start("--due", "00:00 UTC").communicate(timeout=PATIENCE) == ("", "")
        assert nights.records()[-1] == record


@pytest.mark.parametrize(
    ("what", "says"),
    [("inverted", "The data have drifted: Mean brightness"), ("broken", "The data are broken: Labels of train")],
)
def test_drifted_and_broken_data_are_refused_before_anything_is_trained(nights: Nights, what: str, says: str) -> None:
    images, labels = DIGITS[0][:1400].copy(), DIGITS[1][:1400].copy()
    images[1000:] = 255 - images[1000:] if what == "inverted" else images[1000:]
    labels[1000:] = labels[1000:] if what == "inverted" else -1
    nights.write(images, labels)
    with nights.mlflow():
        code, record = nights.run()
    assert (code, record["outcome"]) == (2, "refused")
    assert says in record["reasons"][0]
    assert "prepare" in record["stages"]
    if what == "inverted":
        assert "New are x_train[1000], x_train[1001], x_train[1002] and 397 more." in record["reasons"][0]
    assert set(record["stages"]) <= {"code", "prepare"}
    assert nights.told()[-1] == ("failure", "refused")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a disk that is full")
def test_a_full_disk_and_a_server_that_is_gone_are_waited_out(nights: Nights, tmp_path: Path) -> None:
    """New data; the disk has no room for what is made of them, then MLflow is away. Nothing is done twice."""
    nights.write(DIGITS[0][:1400], DIGITS[1][:1400])
    cache = nights.project.folder / ".dvc/cache"
    with nights.mlflow() as client, full_disk(cache, tmp_path):
        before = state(client)
        code, record = nights.run()
        assert (code, record["outcome"]) == (3, "failed")
        assert "The disk is full. Make room" in record["reasons"][0]
        assert state(client) == before
    code, record = nights.run()
    assert (code, record["outcome"]) == (3, "failed")
    assert "MLflow at" in record["reasons"][0]
    with nights.mlflow() as client:
        code, record = nights.run()
        assert code == 0
        assert record["outcome"] in ("promoted", "kept")
        runs, versions, _ = state(client)
        assert runs == versions == dict.fromkeys(VARIANTS, 2)
        assert "the chain is whole" in octavo(nights, "audit")
        shown = client.get_experiment_by_name("octavo.nightly")
        assert shown
        assert len(client.search_runs([shown.experiment_id])) == len(nights.records())
    assert nights.told()[-1] == ("recovery", record["outcome"])


def test_a_source_out_of_reach_stops_the_night_before_anything_is_done(nights: Nights) -> None:
    hidden = nights.source.rename(nights.source.with_suffix(".away"))
    with nights.mlflow():
        code, record = nights.run()
        assert (code, record["outcome"], record["stages"]) == (3, "failed", [])
        assert "The data at raw.npz cannot be brought up to date" in record["reasons"][0]
        hidden.rename(nights.source)
        assert nights.run()[1]["outcome"] == "unchanged"
    assert nights.told()[-2:] == [("failure", "failed"), ("recovery", "unchanged")]


def just_now(nights: Nights) -> str:
    """A time that a night is due at since this minute began, and that no night began after."""
    last = datetime.fromisoformat(nights.records()[-1]["started"])
    while (due := f"{datetime.now(timezone.utc):%H:%M} UTC") == f"{last:%H:%M} UTC":
        time.sleep(1)
    return due


def test_a_server_that_goes_away_midway_costs_no_night(nights: Nights) -> None:
    """The scheduler's next wakes do the rest, people are told once, and a night that has ended well is the last."""
    nights.write(DIGITS[0][:1480], DIGITS[1][:1480])
    due, told = just_now(nights), nights.told()
    with nights.mlflow() as client:
        before = state(client)
        process = nights.start("--due", due)
        nights.await_stage("network@fp32")
    process.communicate(timeout=PATIENCE)
    assert (process.returncode, nights.records()[-1]["outcome"]) == (3, "failed")
    code, record = nights.run("--due", due)
    assert (code, record["outcome"]) == (3, "failed")
    assert nights.told() == [*told, ("failure", "failed")]
    with nights.mlflow() as client:
        assert state(client) == before
        code, record = nights.run("--due", due)
        assert code == 0
        assert record["outcome"] in ("promoted", "kept")
        assert state(client)[0] == {variant: runs + 1 for variant, runs in before[0].items()}
        assert nights.run("--due", due)[1] == record
        assert "the chain is whole" in octavo(nights, "audit")
    assert nights.told() == [*told, ("failure", "failed"), ("recovery", record["outcome"])]


def test_a_worker_that_is_killed_is_begun_again_the_same_night(nights: Nights) -> None:
    due = just_now(nights)
    with nights.mlflow():
        process = nights.start("--due", due)
        nights.await_stage("register")
        os.kill(group(process.pid)[0], signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
        assert nights.records()[-1]["outcome"] == "killed"
        code, record = nights.run("--due", due)
        assert (code, record["outcome"]) == (0, "unchanged")
