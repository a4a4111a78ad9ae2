"""A project's night for a scheduler: what to run, where, and when."""

import hashlib
import re
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from octavo.project.errors import ParamsError, ScheduleError
from octavo.project.params.params import PARAMS
from octavo_mlflow.nightly import record
from octavo_mlflow.nightly.daily_time import Daily

LONGEST_LABEL = 40
"""Kubernetes allows at most 52 characters for the name of a CronJob."""


@dataclass(frozen=True)
class ProjectSchedule:
    root: Path
    scripts: Path
    """The environment's folder of programs: `octavo`, and the `python` that DVC uses for each stage."""
    daily: Daily

    @property
    def octavo(self) -> Path:
        return self.scripts / "octavo"

    @property
    def path(self) -> str:
        """PATH of the night: the environment, the system, and the folder of git."""
        git = shutil.which("git")
        folders = [self.scripts, "/usr/local/bin", "/usr/bin", "/bin", *([Path(git).parent] if git else [])]
        return ":".join(dict.fromkeys(map(str, folders)))


@dataclass(frozen=True)
class Installed:
    """A night that this machine will start."""

    scheduler: str
    active: bool
    daily: Daily
    command: str
    log: str


class Scheduler(Protocol):
    """A program that can start nights on this machine; one module each."""

    def trouble(self) -> str | None:
        """Why it cannot start anything for this user, as a clause; None if it can."""

    def install(self, night: ProjectSchedule) -> list[str]:
        """Install the night in place of the project's former one, and return notes for the user.

        Raises:
            ScheduleError: the scheduler refuses it. Then nothing is installed.
        """

    def installed(self, root: Path) -> Installed | None:
        """What is installed for the project, or None."""

    def remove(self, root: Path) -> bool:
        """Remove what is installed for the project, and return whether there was anything.

        Raises:
            ServiceUnavailable: it is installed, and its scheduler does not answer.
        """


def project() -> Path:
    """The project that the command runs in.

    Raises:
        ParamsError: this folder is not a project's root.
        ScheduleError: the folder's name does not fit into a line.
    """
    root = Path.cwd()
    if not PARAMS.exists():
        raise ParamsError(f"No {PARAMS} in {root}. Run octavo in the project's root.")
    if not str(root).isprintable():
        raise ScheduleError(f"The folder {str(root)!r} has unprintable characters in its name. Rename it first.")
    return root


def here(daily: Daily) -> ProjectSchedule:
    """This project's night, with the environment that runs this command."""
    return ProjectSchedule(project(), Path(sysconfig.get_path("scripts")), daily)


def label(root: Path) -> str:
    """The project's folder as a name for other systems, such as `octavo-digits`."""
    slug = re.sub(r"[^a-z0-9]+", "-", root.name.lower()).removeprefix("octavo").strip("-")
    return f"octavo-{slug}"[:LONGEST_LABEL].strip("-")


def name(root: Path) -> str:
    """The label and eight digits of the path's SHA-256, because two projects may have folders of the same name."""
    return f"{label(root)}-{hashlib.sha256(bytes(root)).hexdigest()[:8]}"


def last_night() -> str | None:
    """Name and outcome of the last finished night, or None."""
    last = next(record.ended(), None)
    return f"{last.name}, {last.outcome}" if last else None
