"""One project's night as a scheduler sees it: what to run, where, and when."""

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
"""Kubernetes names a CronJob with at most 52 characters."""


@dataclass(frozen=True)
class Night:
    root: Path
    scripts: Path
    """The environment's folder of programs: `octavo`, and the `python` that DVC runs each stage with."""
    daily: Daily

    @property
    def octavo(self) -> Path:
        return self.scripts / "octavo"

    @property
    def path(self) -> str:
        """PATH of the night: the environment first, then the system, and git wherever it is now."""
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
    """What can start nights on this machine; a module each."""

    def trouble(self) -> str | None:
        """Why it cannot start anything for this user, as a clause; None if it can."""

    def install(self, night: Night) -> list[str]:
        """Have the night started from now on, in place of the project's former one; what the user should know of it.

        Raises:
            ScheduleError: the scheduler does not take it; then nothing is left installed.
        """

    def installed(self, root: Path) -> Installed | None:
        """What was installed for the project."""

    def remove(self, root: Path) -> bool:
        """Take away what was installed for the project and nothing else; whether there was anything.

        Raises:
            ServiceUnavailable: it is installed, and its scheduler is out of reach.
        """


def project() -> Path:
    """The project that the command is run in.

    Raises:
        ParamsError: this is no project's root.
        ScheduleError: the folder's name cannot be written into a line.
    """
    root = Path.cwd()
    if not PARAMS.exists():
        raise ParamsError(f"No {PARAMS} in {root}. Run octavo in the project's root.")
    if not str(root).isprintable():
        raise ScheduleError(f"The folder {str(root)!r} has a line break or the like in its name. Rename it first.")
    return root


def here(daily: Daily) -> Night:
    """This project's night, run by the environment that runs this command."""
    return Night(project(), Path(sysconfig.get_path("scripts")), daily)


def label(root: Path) -> str:
    """The project's folder as a name for other systems: `octavo-digits`."""
    slug = re.sub(r"[^a-z0-9]+", "-", root.name.lower()).removeprefix("octavo").strip("-")
    return f"octavo-{slug}"[:LONGEST_LABEL].strip("-")


def name(root: Path) -> str:
    """The label and eight digits of the whole path, since two projects may lie in folders of one name."""
    return f"{label(root)}-{hashlib.sha256(bytes(root)).hexdigest()[:8]}"


def last_night() -> str | None:
    """The last night that ended, and what came of it."""
    last = next(record.ended(), None)
    return f"{last.name}, {last.outcome}" if last else None
