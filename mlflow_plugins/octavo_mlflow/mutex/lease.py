"""Who holds a lock on the MLflow registry, as the lock's tags say, and whether that process can still be at work."""

import getpass
import os
import socket
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from mlflow.entities.model_registry import RegisteredModel

LEASE = timedelta(minutes=10)
"""How long a holder may go without a sign of life; twice as long as any one write may take."""
LONGEST_PID = 10
"""Digits; no system counts processes as far."""
CLOCK_SKEW = timedelta(minutes=1)
"""By how much the clocks of two machines may differ."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, which one of its locks it is, and until when."""

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
        """Whether the lease ran out by anyone's clock, or the process was on this machine and is no more."""
        if self.machine == _machine() and _has_ended(self.pid):
            return True
        return now() > self.expires + CLOCK_SKEW


def tags(token: str, purpose: str, expires: datetime) -> dict[str, str]:
    """What a lock of this process says."""
    return {
        "token": token,
        "owner": owner(),
        "machine": _machine(),
        "pid": str(os.getpid()),
        "purpose": purpose,
        lease_tag(token): expires.isoformat(),
    }


def lease_tag(token: str) -> str:
    """The tag with the end of a lease: its own for each token, so that a late renewal cannot touch a successor's."""
    return f"expires.{token}"


def read(lock: RegisteredModel) -> Holder:
    """The holder of a lock; one that says nothing of itself is given a lease from when it was made.

    Octavo writes a lock with its tags in one transaction, so only a lock made or edited by hand lacks any, or has a
    lease that ends later than any lease can.
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
    """The user and the machine, as people know them."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in many containers
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def now() -> datetime:
    return datetime.now(timezone.utc)


def _moment(text: str | None) -> datetime | None:
    """A time with its zone; None where the text is none."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None


def _machine() -> str:
    """Where a process number means something: this machine since its last start, and this container of it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode():012x}"


def _has_ended(pid: int) -> bool:
    """Whether no process has this number, or one that is dead and only waits for its parent to notice."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return True
    except OSError:  # another user's, or a system without /proc
        return False
    return state == "Z"
