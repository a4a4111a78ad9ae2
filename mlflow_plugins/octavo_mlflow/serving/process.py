"""Deployments on this machine: their folders, and their processes, which outlive the command that started them.

    <root>/<name>/current        number of the generation that serves
    <root>/<name>/<generation>/  files of `record` and `server`, the model and the log

A deployment exists if it has a current generation. Other files come from killed clients; the next change deletes them.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from octavo.project.errors import ModelError
from octavo.project.files import atomic_write
from octavo.project.files.file_lock import exclusive
from octavo_mlflow.serving import record
from octavo_mlflow.serving.record import ALIVE, LOOPBACK, SERVER, Deployment

CURRENT = "current"
LOG = "log"
PATIENCE = 60.0
"""Seconds for a model to be opened."""
GRACE = 10.0
"""Seconds for requests in progress after a process is told to end."""


@dataclass(frozen=True)
class Serving:
    """A deployment and the process that serves it."""

    folder: Path
    deployment: Deployment
    pid: int
    port: int

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def is_alive(self) -> bool:
        return _is_held(self.folder / ALIVE)

    @property
    def last_words(self) -> str:
        """The last line of the log: why the process ended, unless it was killed."""
        return _last_line(self.folder) or "none."


def root() -> Path:
    """The folder of all deployments: `OCTAVO_DEPLOYMENTS`, otherwise in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("OCTAVO_DEPLOYMENTS") or cache / "octavo" / "deployments").absolute()


def names() -> list[str]:
    """The names of all deployments."""
    return sorted(path.parent.name for path in root().glob(f"*/{CURRENT}"))


def find(name: str) -> Serving | None:
    """The deployment called `name`, or None.

    Raises:
        ModelError: its folder is damaged.
    """
    with suppress(FileNotFoundError):
        folder = root() / name / (root() / name / CURRENT).read_text(encoding="ascii").strip()
        return Serving(folder, record.load(folder), **json.loads((folder / SERVER).read_bytes()))
    return None


@contextmanager
def changing(name: str) -> Iterator[None]:
    """Keep other processes from changing the deployment `name` for the length of the block.

    Raises:
        AlreadyRunning: another process is changing it.
    """
    root().mkdir(parents=True, exist_ok=True, mode=0o700)
    with exclusive(root() / f".{name}.lock", f"A change of the deployment {name}"):
        yield


def new_generation(name: str) -> Path:
    """Create an empty folder for the next generation of `name`."""
    known = [int(path.name) for path in (root() / name).glob("*") if path.name.isdigit()]
    folder = root() / name / str(max(known, default=0) + 1)
    folder.mkdir(parents=True)
    return folder


def start(folder: Path) -> None:
    """Start a process that serves the generation in `folder`, and wait until it answers.

    Raises:
        ModelError: it ended, or takes too long. No process is left.
    """
    command = [sys.executable, "-m", "octavo_mlflow.serving.server", str(folder)]
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=folder
        )
    deadline = time.monotonic() + PATIENCE
    while not (folder / SERVER).exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            why = _last_line(folder) or f"exit code {process.returncode}, within {PATIENCE:g} seconds."
            raise ModelError(f"The model cannot be served: {why}")
        time.sleep(0.02)


def switch(folder: Path) -> None:
    """Make the generation in `folder` the current one, and end all others."""
    atomic_write.write_text(folder.parent / CURRENT, folder.name)
    for other in folder.parent.iterdir():
        if other.is_dir() and other != folder:
            remove(other)


def remove(folder: Path) -> None:
    """End the process that serves the generation in `folder`, and delete the folder."""
    _end(folder)
    shutil.rmtree(folder, ignore_errors=True)


def remove_all(name: str) -> None:
    """Delete the deployment `name`, if there is one. After the first step it no longer exists for other commands."""
    (root() / name / CURRENT).unlink(missing_ok=True)
    for folder in (root() / name).glob("*/"):
        remove(folder)
    shutil.rmtree(root() / name, ignore_errors=True)


def _end(folder: Path) -> None:
    for number, patience in (signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE):
        if not _is_held(folder / ALIVE):
            return
        with suppress(OSError, ValueError, KeyError):
            os.kill(json.loads((folder / ALIVE).read_bytes())["pid"], number)
        deadline = time.monotonic() + patience
        while _is_held(folder / ALIVE) and time.monotonic() < deadline:
            time.sleep(0.02)


def _is_held(lock: Path) -> bool:
    """Whether a living process holds the lock. The system frees it however that process ends."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _last_line(folder: Path) -> str:
    lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("octavo: ") if lines else ""
