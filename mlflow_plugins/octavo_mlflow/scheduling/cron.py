"""Schedule nights by lines in the user's crontab.

cron knows no time zones and does not catch up on missed times. So it starts Octavo every ten minutes, and after the
machine has started. `octavo nightly --due` does nothing unless a night is due.

It edits the crontab's bytes itself, so that every other line stays as it is. python-crontab writes all lines anew, and
makes comments of those that it cannot read.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

from octavo.project import paths
from octavo.project.errors import ScheduleError, ServiceUnavailable
from octavo_mlflow.nightly.daily_time import parse
from octavo_mlflow.scheduling.project_schedule import Installed, ProjectSchedule, name

WHEN = (b"*/10 * * * *", b"@reboot")
LOG = paths.NIGHTS / "cron.log"
DUE = re.compile(r".* nightly --due '(?P<daily>[^']+)'")
DAEMONS = {"cron", "crond"}


def trouble() -> str | None:
    """Why cron cannot start anything for this user, or None if it can."""
    try:
        _lines()
    except ServiceUnavailable as error:
        return str(error)
    return None


def install(night: ProjectSchedule) -> list[str]:
    """Replace the project's lines in the crontab, and return notes for the user."""
    _, others = _split(night.root)
    if others and not others[-1].endswith(b"\n"):
        others[-1] += b"\n"
    command = os.fsencode(command_line(night).replace("%", r"\%"))  # a bare % ends the command: crontab(5)
    _write([*others, *(b"%s %s%s" % (when, command, _mark(night.root)) for when in WHEN)])
    return [] if _runs() else ["No cron daemon runs here. Start it: systemctl start cron, or service cron start."]


def installed(root: Path) -> Installed | None:
    """What the project's lines run, and whether a cron daemon runs them.

    Raises:
        ScheduleError: the project's line was edited.
    """
    ours, _ = _split(root)
    if not ours:
        return None
    line = ours[0].removeprefix(WHEN[0] + b" ").removesuffix(_mark(root))
    command = os.fsdecode(line).replace(r"\%", "%")
    found = DUE.match(command)
    if not found:
        raise ScheduleError("The crontab's line is not as octavo schedule writes it. Install the schedule again.")
    return Installed("cron", _runs(), parse(found["daily"]), command, str(LOG))


def remove(root: Path) -> bool:
    """Delete the project's lines from the crontab, and return whether there were any."""
    ours, others = _split(root)
    if ours:
        _write(others)
    return bool(ours)


def command_line(night: ProjectSchedule) -> str:
    """The shell command of a night. Its output goes to the log, and `nightly.env` is read if it exists."""
    environment = f"set -a; [ ! -f {paths.NIGHT_ENVIRONMENT} ] || . ./{paths.NIGHT_ENVIRONMENT}"
    octavo = f"nice {shlex.quote(str(night.octavo))} nightly --due {shlex.quote(str(night.daily))}"
    return (
        f"cd {shlex.quote(str(night.root))} && mkdir -p {LOG.parent} && "
        f"{{ {environment}; PATH={shlex.quote(night.path)}; {octavo}; }} >>{LOG} 2>&1"
    )


def _mark(root: Path) -> bytes:
    return f" # {name(root)}, by octavo schedule\n".encode()


def _split(root: Path) -> tuple[list[bytes], list[bytes]]:
    """The project's lines in the crontab, and all others. Both are empty if there is no cron."""
    lines, mark = [] if trouble() else _lines(), _mark(root)
    return [line for line in lines if line.endswith(mark)], [line for line in lines if not line.endswith(mark)]


def _lines() -> list[bytes]:
    """The lines of the user's crontab.

    Raises:
        ServiceUnavailable: there is no cron, or none for this user.
    """
    listed = _crontab("-l")
    if listed.returncode and b"no crontab for" not in listed.stderr:
        raise ServiceUnavailable(f"crontab says '{_words(listed)}'")
    return listed.stdout.splitlines(keepends=True)


def _write(lines: list[bytes]) -> None:
    done = _crontab("-", content=b"".join(lines))
    if done.returncode:
        raise ScheduleError(f"crontab refuses the night's lines: {_words(done)}. The crontab has not changed.")


def _crontab(argument: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"LC_ALL": "C"}
    try:
        return subprocess.run(["crontab", argument], input=content, capture_output=True, check=False, env=environment)
    except FileNotFoundError:
        raise ServiceUnavailable("crontab is not installed") from None


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join(os.fsdecode(done.stderr).split())


def _runs() -> bool:
    processes = Path("/proc")
    if not (processes / "self").exists():
        return True  # not Linux: unknown
    return any(_command(process) in DAEMONS for process in processes.glob("[0-9]*"))


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""
