"""A night that a service out of reach has ended is tried again, for some hours, and told of once."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from octavo.project import paths
from octavo.project.params.nightly import Nightly
from octavo_mlflow.nightly import notifications, record, supervisor
from octavo_mlflow.nightly.record import Night, Outcome

DUE = "02:30 UTC since 2026-11-01T00:00+00:00"
TIME = datetime(2026, 11, 25, 2, 30, tzinfo=timezone.utc)
Ended = Callable[..., Night]


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ended:
    """A night with a record: began so many minutes after its time, took one, and ended with this code."""
    monkeypatch.chdir(tmp_path)
    paths.NIGHTS.mkdir(parents=True)

    def write(minutes: float, code: int, number: int = 1, outcome: Outcome = "failed") -> Night:
        began = TIME + timedelta(minutes=minutes)
        name = f"{began:%Y-%m-%d}.{number}"
        made = Night(name=name, started=began).end(outcome if code else "kept", "why", exit_code=code)
        made = made.model_copy(update={"ended": began + timedelta(minutes=1)})
        record.save(made)
        return made

    return write


@pytest.mark.parametrize(
    ("code", "hours", "retry", "again"),
    [
        (3, 0.2, 6, True),
        (3, 5.9, 6, True),
        (3, 6.1, 6, False),
        (3, 0.2, 0, False),
        (1, 0.2, 6, False),
        (2, 0.2, 6, False),
        (0, 0.2, 6, False),
    ],
)
def test_only_a_service_out_of_reach_is_waited_for(
    code: int, hours: float, retry: float, again: bool, ended: Ended
) -> None:
    ended(1, code)
    assert supervisor.is_due(DUE, Nightly(retry=retry), TIME + timedelta(hours=hours)) is again


def test_a_night_that_is_killed_is_begun_three_times(ended: Ended) -> None:
    soon = TIME + timedelta(hours=1)
    ended(-24 * 60, 1, 9, "killed")
    for number in (1, 2):
        ended(10 * number, 1, number, "killed")
        assert supervisor.is_due(DUE, Nightly(), soon)
        assert not supervisor.is_due(DUE, Nightly(), TIME + timedelta(hours=7))
    ended(30, 1, 3, "killed")
    assert not supervisor.is_due(DUE, Nightly(), soon)
    assert supervisor.is_due(DUE, Nightly(), soon + timedelta(days=1))


def test_a_night_that_failed_after_one_that_was_killed_has_ended(ended: Ended) -> None:
    ended(1, 1, 1, "killed")
    ended(11, 1, 2)
    assert not supervisor.is_due(DUE, Nightly(), TIME + timedelta(hours=1))


def test_the_next_night_is_due_however_the_last_one_ended(ended: Ended) -> None:
    ended(1, 3)
    assert supervisor.is_due(DUE, Nightly(), TIME + timedelta(days=1, minutes=1))
    assert not supervisor.is_due(DUE, Nightly(), TIME + timedelta(days=1, minutes=-1))


def test_people_are_told_of_an_outage_once_and_of_its_end(ended: Ended) -> None:
    first, second, third = ended(1, 3), ended(11, 3, 2), ended(21, 0, 3)
    assert (notifications.message(first, None) or {}).get("kind") == "failure"
    assert notifications.message(second, first) is None
    assert (notifications.message(third, second) or {}).get("kind") == "recovery"


def test_another_failure_and_that_of_another_night_are_told(ended: Ended) -> None:
    outage, fault, tomorrow = ended(1, 3), ended(11, 1, 2), ended(24 * 60, 3, 3)
    assert (notifications.message(fault, outage) or {}).get("kind") == "failure"
    assert (notifications.message(tomorrow, outage) or {}).get("kind") == "failure"
