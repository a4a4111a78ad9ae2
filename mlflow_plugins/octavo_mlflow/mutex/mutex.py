"""A mutex on the MLflow registry: one process at a time changes a registered model, on whatever machine it runs.

The lock of `octavo` is the registered model `octavo.lock`, because creating a registered model is decided by the
database: of many creators one wins. Who dies leaves it to the others, who bury it by renaming it to
`octavo.lock.<token>`, and then compete anew. Who is done buries it too, and removes the tombstone.

A rename takes what bears the name now, not what bore it when the token was read. Yet a process that saw a dead lock,
slept, and wakes after a living one has taken its place does not get that one, for the name that it would give it is
taken by the dead lock's tombstone:

- it looked at the lock once more after it had found the holder dead, so the holder did not release it before;
- a holder whose lease ran out, and who thus can be taken for dead, neither renews nor releases any more, and does not
  remove its tombstone where the release took until then;
- the others let tombstones stand for an hour. Were the process to sleep for longer than that, still no two would write:
  each asks `still_held` before it does.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from octavo.project.errors import ServiceUnavailable
from octavo_mlflow.mutex import lease, lock
from octavo_mlflow.mutex.lease import Holder

TAKEOVER = 10.0
"""Seconds within which somebody succeeds a dead holder."""
PAUSES = (0.05, 1.0)
"""Seconds between attempts, the first and the longest."""

log = logging.getLogger(__name__)


class Busy(ServiceUnavailable):
    """Another process holds the mutex. Trying again later helps, hence exit code 3."""


class Lost(ServiceUnavailable):
    """The lease ran out, or another process holds the mutex: nothing more may be written."""


@contextmanager
def held(client: MlflowClient, name: str, purpose: str, wait: float = 0) -> Iterator[Callable[[], None]]:
    """Be the only process that changes the registered model `name`, after waiting up to `wait` seconds for others.

    Yields `still_held`, to be called right before each write. It raises `Lost` where the mutex is gone, and renews
    the lease where less than half of it is left, so that each write has half a lease to take effect.

    `purpose` is what others read that the mutex is held for: promote, rollback, register, nightly.

    Raises:
        Busy: another process holds it; the message says who, for what, since when, and until when at most.
        ServiceUnavailable: MLflow does not let this user create registered models, or move away a dead holder's lock.
        MlflowException: MLflow does not answer.
    """
    mutex = _Mutex(client, name, purpose)
    try:
        mutex.acquire(wait)
    except MlflowException as error:
        if error.error_code != "PERMISSION_DENIED":
            raise
        raise ServiceUnavailable(
            f"MLflow denies access to the registered model {mutex.lock}, which keeps two processes from changing "
            f"{name} at once. It belongs to the user who made it, and is left behind where that one's process died: "
            "have it deleted by that user or an administrator, and run the command again."
        ) from error
    try:
        yield mutex.still_held
    finally:
        mutex.release()


def holder_of(client: MlflowClient, name: str) -> Holder | None:
    """Who is changing the registered model `name` just now."""
    return lock.look(client, f"{name}.lock")


@dataclass
class _Mutex:
    client: MlflowClient
    name: str
    purpose: str
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    expires: datetime = field(default_factory=lease.now)
    """Until when others are sure to let it be; after a renewal that came too late the lock says more."""

    @property
    def lock(self) -> str:
        return f"{self.name}.lock"

    def acquire(self, wait: float) -> None:
        deadline, pause = time.monotonic() + wait, PAUSES[0]
        found: Holder | None = None
        while found is not None or not self._create():
            found = lock.look(self.client, self.lock)
            if found is not None and found.token == self.token:  # made by a request that MLflow's client repeated
                self.expires = found.expires
                return
            alive = found is not None and not found.is_dead()
            if found is not None and not alive and lock.look(self.client, self.lock) == found:
                lock.bury(self.client, self.lock, found.token)
                found = None
            if time.monotonic() >= deadline + (0 if alive else TAKEOVER):
                raise Busy(
                    f"{self.name} is being changed by {found or 'another process'}. Run the command again when that "
                    f"is done; if that process is gone, its lock {self.lock} is taken over soon after its lease."
                )
            if alive and pause == PAUSES[0]:
                log.warning("Waiting for %s, for %g s at most.", found, wait)
            time.sleep(pause)
            pause = min(2 * pause, PAUSES[1])

    def still_held(self) -> None:
        """Make sure that at least half of the lease is left.

        Raises:
            Lost: it has run out, or the lock is another's.
        """
        found = lock.look(self.client, self.lock)
        if lease.now() < self.expires < lease.now() + lease.LEASE / 2:
            self._renew()
        if found is None or found.token != self.token or lease.now() >= self.expires:
            raise Lost(
                f"{self.name} is not changed any further: the lock {self.lock}, held for {self.purpose}, has run out"
                f"{f' and gone to {found}' if found and found.token != self.token else ''}. "
                "What is written stands; run the command again to do the rest."
            )

    def release(self) -> None:
        """Free the lock if it is still held; one that cannot be freed ends with its lease or its process."""
        try:
            self.still_held()
            lock.bury(self.client, self.lock, self.token)
            lock.sweep(self.client, self.lock, self.token if lease.now() < self.expires else None)
        except Lost:
            pass
        except MlflowException as error:
            log.warning("%s could not be removed and ends with its lease: %s", self.lock, error)

    def _create(self) -> bool:
        self.expires = lease.now() + lease.LEASE
        tags = lease.tags(self.token, self.purpose, self.expires)
        about = f"{tags['owner']} is changing {self.name} ({self.purpose}). Octavo removes this when it is done."
        return lock.create(self.client, self.lock, tags, about)

    def _renew(self) -> None:
        expires = lease.now() + lease.LEASE
        lock.renew(self.client, self.lock, self.token, expires)
        if lease.now() < self.expires:  # else others may have seen the old lease run out, and be about to act
            self.expires = expires
