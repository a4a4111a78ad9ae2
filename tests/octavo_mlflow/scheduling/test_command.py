"""`octavo schedule`: what it says to whoever gives it something it cannot use."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from octavo.project.errors import OctavoError, ParamsError, ScheduleError, ServiceUnavailable
from octavo_mlflow.nightly import record
from octavo_mlflow.nightly.record import Night
from octavo_mlflow.scheduling.command import schedule, unseen


@pytest.fixture(autouse=True)
def bare_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project on a machine with neither systemd nor cron, as a container is."""
    (tmp_path / "params.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def run(*arguments: str) -> str:
    return CliRunner().invoke(schedule, arguments, catch_exceptions=False).stdout


def refused(*arguments: str) -> OctavoError:
    error = CliRunner().invoke(schedule, arguments).exception
    assert isinstance(error, OctavoError)
    return error


def test_a_container_is_told_of_the_platforms() -> None:
    error = refused("install")
    assert isinstance(error, ServiceUnavailable)
    assert "systemctl is not installed; crontab is not installed" in str(error)
    assert "--print writes a file for kubernetes, github, airflow" in str(error)


def test_nothing_is_scheduled_until_something_is() -> None:
    for name in ("2026-11-23", "2026-11-24", "2026-11-24.2", "2025-12-31"):
        record.save(Night(name=name, started=datetime.now(UTC)).end("kept"))
    record.save(record.begin())
    shown = json.loads(run("show", "--json"))
    assert shown.pop("last") == "2026-11-24.2, kept"
    assert set(shown.values()) == {None}
    assert "No night is scheduled for" in run("show")
    assert "No night was scheduled for" in run("remove")


@pytest.mark.parametrize("arguments", [("install",), ("install", "--print", "github"), ("show",), ("remove",)])
def test_only_a_project_has_nights(arguments: tuple[str, ...]) -> None:
    Path("params.yaml").unlink()
    error = refused(*arguments)
    assert isinstance(error, ParamsError)
    assert "Run octavo in the project's root" in str(error)


@pytest.mark.parametrize("arguments", [("--at", "25:00"), ("--zone", "Mars/Olympus"), ("--at", "2.30")])
def test_a_time_or_zone_there_is_not_is_said(arguments: tuple[str, ...]) -> None:
    error = refused("install", *arguments)
    assert isinstance(error, ScheduleError)
    assert arguments[1] in str(error)


def test_a_folder_that_fits_no_line_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "two\nlines"
    folder.mkdir()
    (folder / "params.yaml").touch()
    monkeypatch.chdir(folder)
    assert "Rename it first" in str(refused("install"))


def test_what_only_the_shell_knows_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    monkeypatch.setenv("OCTAVO_DATA", "/data")
    (note,) = unseen()
    assert "MLFLOW_TRACKING_PASSWORD" in note
    assert "OCTAVO_DATA" in note
    assert "secret" not in note
    Path("nightly.env").write_text("MLFLOW_TRACKING_PASSWORD='secret'\n")
    (note,) = unseen()
    assert "MLFLOW_TRACKING_PASSWORD" not in note


def test_the_zone_is_this_machines() -> None:
    command = [str(Path(sys.executable).with_name("octavo")), "schedule", "install", "--print", "github"]
    printed = subprocess.run(
        command, env=os.environ | {"TZ": ":America/Lima"}, capture_output=True, text=True, check=True
    )
    assert "every day at 02:30 America/Lima" in printed.stdout
