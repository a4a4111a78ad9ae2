"""`octavo doctor` says what starts the nights of a project, and whether a night is in progress."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from octavo.project.errors import ScheduleError
from octavo.project.files.file_lock import exclusive
from octavo_mlflow.nightly.supervisor import LOCK
from octavo_mlflow.scheduling import night_check

ACTIVE = SimpleNamespace(scheduler="cron", active=True, daily="02:30 UTC")
STOPPED = SimpleNamespace(scheduler="cron", active=False, daily="02:30 UTC")


def refuse(root: Path) -> None:
    raise ScheduleError("crontab is not as octavo schedule writes it.")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("installed", "trouble", "ok", "told"),
    [
        (lambda _: None, None, True, "to schedule one: octavo schedule install"),
        (lambda _: None, "cron is not installed", True, "none can be on this machine: cron is not installed"),
        (lambda _: ACTIVE, None, True, "every night at 02:30 UTC, by cron"),
        (lambda _: STOPPED, None, False, "not running"),
        (refuse, None, False, "not as octavo schedule writes it"),
    ],
)
def test_the_scheduler(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: Callable[[Path], object],
    trouble: str | None,
    ok: bool,
    told: str,
) -> None:
    scheduler = SimpleNamespace(installed=installed, trouble=lambda: trouble)
    monkeypatch.setattr(night_check, "SCHEDULERS", (scheduler,))
    (found,) = night_check.check()
    assert found.ok == ok
    assert told in found.said


def test_a_night_in_progress_and_what_remains_of_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(night_check, "SCHEDULERS", ())
    with exclusive(LOCK, "A night"):
        _, running = night_check.check()
    assert "A night runs already: process" in running.said
    _, ended = night_check.check()
    assert "nothing was left behind" in ended.said


def test_outside_a_project_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(night_check.check()) == []
