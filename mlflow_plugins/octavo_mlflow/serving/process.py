"""Deployments on this machine: their folders, and the processes that serve them, which outlive who started them.

    <root>/<name>/current        the number of the generation that serves
    <root>/<name>/<generation>/  what `deployment` and `scoring` have there, the model and the log

A deployment exists when it has a current generation. Whatever else lies there was left by a killed client, and goes
with the next change.
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
"""Seconds for answers that are on their way when a process is told to end."""


@dataclass(frozen=True)
class Serving:
    """A deployment as it stands."""

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
        """The end of the log: why it ended, where it ended by itself; killed processes say nothing."""
        return _last_line(self.folder) or "none."


def root() -> Path:
    """Where deployments lie: `OCTAVO_DEPLOYMENTS`, else in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("OCTAVO_DEPLOYMENTS") or cache / "octavo" / "deployments").absolute()


def names() -> list[str]:
    """Of the deployments there are."""
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
    """Be the only one to change the deployment called `name`.

    Raises:
        Busy: somebody else does.
    """
    root().mkdir(parents=True, exist_ok=True, mode=0o700)
    with exclusive(root() / f".{name}.lock", f"A change of the deployment {name}"):
        yield


def new_generation(name: str) -> Path:
    """An empty folder for the next generation of `name`."""
    known = [int(path.name) for path in (root() / name).glob("*") if path.name.isdigit()]
    folder = root() / name / str(max(known, default=0) + 1)
    folder.mkdir(parents=True)
    return folder


def start(folder: Path) -> None:
    """Serve the generation in `folder` by a process of its own, and wait until it answers.

    Raises:
        ModelError: it ended instead, or takes too long; nothing is left running.
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
    """Let the generation in `folder` be the one that serves, and end all others."""
    atomic_write.write_text(folder.parent / CURRENT, folder.name)
    for other in folder.parent.iterdir():
        if other.is_dir() and other != folder:
            remove(other)


def remove(folder: Path) -> None:
    """End the process that serves the generation in `folder`, and remove it."""
    _end(folder)
    shutil.rmtree(folder, ignore_errors=True)


def remove_all(name: str) -> None:
    """Remove the deployment called `name`, if there is one; from its first step on it does not exist."""
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
    """Whether a living process holds the lock; the system frees it however that process ends."""
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
