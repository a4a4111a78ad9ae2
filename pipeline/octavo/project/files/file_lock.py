"""One process at a time on this machine: a lock that the system frees when its holder dies, however it dies."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from octavo.project.errors import ServiceUnavailable
from octavo.project.files import json_file


class AlreadyRunning(ServiceUnavailable):
    """Another process is at it."""


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` for `what`.

    Raises:
        AlreadyRunning: another process holds it; the message says which, and since when.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"{what} runs already: {_holder(path)}. Wait for it to end, or stop that process."
            ) from None
        file.truncate(0)
        json.dump({"pid": os.getpid(), "since": datetime.now(timezone.utc).isoformat(timespec="seconds")}, file)
        file.flush()
        yield


def _holder(path: Path) -> str:
    try:
        told = json_file.read(path)
        return f"process {told['pid']}, since {told['since']}"
    except (OSError, ValueError, LookupError, TypeError):
        return "it began just now"
