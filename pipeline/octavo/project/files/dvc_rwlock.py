"""Repair DVC's record of what is being read and written. A killed process can leave it empty, and then DVC always
stops.

DVC changes the record while it holds a lock of the operating system. If another process gets that lock and finds the
record unreadable, it may delete the record, because no DVC process is running.
"""

import fcntl
from pathlib import Path

from octavo.project.files import json_file
from octavo.project.git import roots

RECORD, GUARD = "rwlock", "rwlock.lock"


def path(name: str = RECORD) -> Path:
    """Where DVC keeps the record, or its guard, for the project in the working directory."""
    return roots.shared() / roots.DVC / "tmp" / name


def is_broken() -> bool:
    """Whether the record exists and cannot be read."""
    try:
        json_file.read(path())
    except FileNotFoundError:
        return False
    except json_file.Unreadable:
        return True
    return False


def mend() -> bool:
    """Delete an unreadable record. Returns whether there was one and DVC was not running."""
    if not is_broken():
        return False
    with path(GUARD).open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not is_broken():
            return False
        path().unlink()
    return True
