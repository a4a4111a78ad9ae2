"""DVC's record of what is read and written just now: a process that is killed can leave it empty, and DVC then stops.

DVC changes the record under a lock of the operating system's. Whoever holds that, and finds the record unreadable, may
remove it: nobody is at work.
"""

import fcntl
from pathlib import Path

from octavo.project.files import json_file

FOLDER = Path(".dvc/tmp")
RECORD, GUARD = FOLDER / "rwlock", FOLDER / "rwlock.lock"


def is_broken() -> bool:
    """Whether the record is there and cannot be read."""
    try:
        json_file.read(RECORD)
    except FileNotFoundError:
        return False
    except json_file.Unreadable:
        return True
    return False


def mend() -> bool:
    """Remove a record that cannot be read; whether there was one, and DVC was not at work."""
    if not is_broken():
        return False
    with GUARD.open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not is_broken():
            return False
        RECORD.unlink()
    return True
