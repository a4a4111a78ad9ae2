"""Lease of a lock in the MLflow registry: who holds it, until when, and whether that process can still be running."""

import getpass
import os
import socket
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from mlflow.entities.model_registry import RegisteredModel

LEASE = timedelta(minutes=10)
"""How long a holder may give no sign of life. Twice as long as a single write may take."""
LONGEST_PID = 10
"""Digits. No system has longer process ids."""
CLOCK_SKEW = timedelta(minutes=1)
"""The largest expected difference between the clocks of two machines."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, the token of this lock, and the end of its lease."""

    token: str
    owner: str
    machine: str
    pid: int
    purpose: str
    since: datetime
    expires: datetime

    def __str__(self) -> str:
        since, expires = f"{self.since:%Y-%m-%d %H:%M:%S}", f"{self.expires:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.owner} (process {self.pid}), for {self.purpose}, since {since}; its lease ends at {expires}"

    def is_dead(self) -> bool:
        """Whether the lease has ended by every clock, or the process ran on this machine and has ended."""
        if self.machine == _machine() and _has_ended(self.pid):
            return True
        return now() > self.expires + CLOCK_SKEW


def tags(token: str, purpose: str, expires: datetime) -> dict[str, str]:
    """The tags of a lock that this process holds.

    Args:
        token: identifies this lock among all locks of the process.
        purpose: why it is held, such as `promote`.
        expires: end of the lease, in UTC.
    """
    return {
        "token": token,
        "owner": owner(),
        "machine": _machine(),
        "pid": str(os.getpid()),
        "purpose": purpose,
        lease_tag(token): expires.isoformat(),
    }


def lease_tag(token: str) -> str:
    """The tag that holds the end of a lease. Each token has its own, so a late renewal cannot change a successor's
    lease.
    """
    return f"expires.{token}"


def read(lock: RegisteredModel) -> Holder:
    """Read the holder from a lock. A lock without valid tags gets a lease that starts at its creation.

    Octavo creates a lock and its tags in one transaction. Only a lock that was made or edited by hand can lack tags, or
    can have a lease that ends later than any real one.
    """
    since = datetime.fromtimestamp(lock.creation_timestamp / 1000, timezone.utc)
    token = lock.tags.get("token", str(lock.creation_timestamp))
    pid = lock.tags.get("pid", "")
    expires = _moment(lock.tags.get(lease_tag(token)))
    honest = expires is not None and expires <= now() + LEASE + CLOCK_SKEW
    return Holder(
        token=token,
        owner=lock.tags.get("owner", "somebody"),
        machine=lock.tags.get("machine", ""),
        pid=int(pid) if pid.isdecimal() and pid.isascii() and len(pid) < LONGEST_PID else 0,
        purpose=lock.tags.get("purpose", "an unknown purpose"),
        since=since,
        expires=expires if expires is not None and honest else since + LEASE,
    )


def owner() -> str:
    """User and machine, as `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in many containers
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def now() -> datetime:
    return datetime.now(timezone.utc)


def _moment(text: str | None) -> datetime | None:
    """A time with its zone, or None if the text is not one."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None


def _machine() -> str:
    """Identifies where a process id is valid: this machine since its last start, and this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode():012x}"


def _has_ended(pid: int) -> bool:
    """Whether no process has this id, or only a zombie has it."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return True
    except OSError:  # another user's, or a system without /proc
        return False
    return state == "Z"
