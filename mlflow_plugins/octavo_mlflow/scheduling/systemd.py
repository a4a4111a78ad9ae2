"""Schedule nights by a timer and a service of the user's own systemd."""

import os
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from octavo.project import paths
from octavo.project.errors import ScheduleError, ServiceUnavailable
from octavo.project.files.atomic_write import write_text
from octavo_mlflow.nightly.daily_time import parse
from octavo_mlflow.scheduling.filled_files import render
from octavo_mlflow.scheduling.project_schedule import Installed, ProjectSchedule, name
from octavo_mlflow.scheduling.wake_times import exact

COMMAND = re.compile(r'^ExecStart=/usr/bin/env (?P<command>.* --due "(?P<daily>[^"]+)")$', re.MULTILINE)


def trouble() -> str | None:
    """Why systemd cannot start anything for this user, or None. It is asked, because its files can exist without it
    running.
    """
    try:
        asked = _systemctl("show", "--property=Version")
    except FileNotFoundError:
        return "systemctl is not installed"
    return f"systemctl --user says '{asked.stderr.strip()}'" if asked.returncode else None


def install(night: ProjectSchedule) -> list[str]:
    """Write, enable and start the units, and return notes for the user.

    Raises:
        ScheduleError: systemd refuses the units. Then nothing is installed.
    """
    service, timer = _units(night.root)
    wakes = exact(night.daily, datetime.now(timezone.utc))
    write_text(service, render("octavo.service.j2", night=night, environment=paths.NIGHT_ENVIRONMENT))
    write_text(timer, render("octavo.timer.j2", night=night, wakes=wakes))
    for verb in (["daemon-reload"], ["enable", timer.name], ["restart", timer.name]):
        done = _systemctl(*verb)
        if done.returncode:
            remove(night.root)
            raise ScheduleError(f"systemd refuses {timer.name}: {' '.join(done.stderr.split())}")
    return _lingering()


def installed(root: Path) -> Installed | None:
    """What the project's service runs, and whether its timer is active.

    Raises:
        ScheduleError: the service file was edited.
    """
    service, timer = _units(root)
    if not service.exists():
        return None
    found = COMMAND.search(service.read_text(encoding="utf-8"))
    if not found:
        raise ScheduleError(f"{service} is not as octavo schedule writes it. Install the schedule again.")
    active = trouble() is None and _systemctl("is-active", timer.name).returncode == 0
    log = f"journalctl --user --unit {service.stem}"
    return Installed(f"systemd timer {timer.stem}", active, parse(found["daily"]), found["command"], log)


def remove(root: Path) -> bool:
    """Stop the timer and delete both units. A night in progress is not interrupted.

    Raises:
        ServiceUnavailable: the timer is installed, and systemd does not answer.
    """
    service, timer = _units(root)
    if not (service.exists() or timer.exists()):
        return False
    if why := trouble():
        raise ServiceUnavailable(
            f"{timer} is installed, but {why}. Log in as this user directly, or run loginctl enable-linger; "
            "then try again."
        )
    _systemctl("disable", "--now", timer.name)
    _systemctl("clean", "--what=state", timer.name)
    for unit in (timer, service):
        unit.unlink(missing_ok=True)
    _systemctl("daemon-reload")
    return True


def _units(root: Path) -> tuple[Path, Path]:
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd/user"
    return folder / f"{name(root)}.service", folder / f"{name(root)}.timer"


def _systemctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    # `su` and `sudo -iu` do not set the variable, but the user's systemd may still run.
    environment = {"XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}"} | os.environ
    command = ["systemctl", "--user", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def _lingering() -> list[str]:
    asked = subprocess.run(
        ["loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value"],
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.stdout.strip() != "no":
        return []
    return ["systemd starts nights only while you are logged in. To have them at any time: loginctl enable-linger"]
