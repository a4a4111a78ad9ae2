"""One process at a time on this machine: a lock that the system frees when its holder dies, however it dies."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from octavo.project.errors import ServiceUnavailable
from octavo.project.files import json_file


class AlreadyRunning(ServiceUnavailable):
    """Another process holds the lock."""


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` for `what`. The file says which process holds it, and since when.

    Raises:
        AlreadyRunning: another process holds it; the message says which, and since when.
        OSError: the file cannot be made, or its file system has no locks. A file that only marks that somebody is
            there would outlive a holder that is killed, so nothing takes the lock's place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, blocking=False, fallback_to_soft=False, on_acquired=_write_holder)
    try:
        held = lock.acquire()
    except Timeout:
        raise AlreadyRunning(
            f"{what} runs already: {_holder(path)}. Wait for it to end, or stop that process."
        ) from None
    with held:
        yield


def _write_holder(descriptor: int) -> None:
    told = {"pid": os.getpid(), "since": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(told).encode(), 0)


def _holder(path: Path) -> str:
    try:
        told = json_file.read(path)
        return f"process {told['pid']}, since {told['since']}"
    except (OSError, ValueError, LookupError, TypeError):
        return "it began just now"
