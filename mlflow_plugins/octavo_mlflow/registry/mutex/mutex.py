"""A mutex in the MLflow registry: one process at a time changes a registered model, on any machine.

The lock of `octavo` is the registered model `octavo.lock`. The database decides who creates a registered model: of many
processes that try, one succeeds. If a holder dies, another process frees the name by renaming the lock to its
tombstone, `octavo.lock.<token>`. Then all compete again. A holder that is done renames its lock too, and deletes the
tombstone.

A rename acts on the model that has the name now, which may not be the model whose token was read. Consider a process
that sees a dead lock, sleeps, and wakes after a live process has taken the lock. It does not take that lock away,
because the name for its rename, the tombstone of the dead lock, is in use:

- The process looked at the lock again after it found the holder dead, so the holder had not released it before.
- A holder whose lease has ended, and which others may consider dead, neither renews nor releases the lock. It does not
  delete its tombstone either if the lease ended during the release.
- The others keep tombstones for an hour. If the process sleeps for longer than that, there are still no two writers,
  because each one calls `still_held` before it writes.
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
from octavo_mlflow.registry.mutex import lease, lock
from octavo_mlflow.registry.mutex.lease import Holder

TAKEOVER = 10.0
"""Seconds within which another process takes the lock of a dead holder."""
PAUSES = (0.05, 1.0)
"""Seconds between attempts: the first and the longest."""

log = logging.getLogger(__name__)


class Busy(ServiceUnavailable):
    """Another process holds the mutex. A later attempt can succeed, therefore exit code 3."""


class Lost(ServiceUnavailable):
    """The lease ended, or another process holds the mutex. Nothing more may be written."""


@contextmanager
def held(client: MlflowClient, name: str, purpose: str, wait: float = 0) -> Iterator[Callable[[], None]]:
    """Hold the mutex of the registered model `name` for the length of the block.

    Yields `still_held`, to be called right before each write. It raises `Lost` if the mutex is lost. It renews the
    lease if less than half of it is left, so that each write has half a lease to take effect.

    Args:
        client: of the tracking store.
        name: the registered model to be changed.
        purpose: what other processes are told that the mutex is held for: promote, rollback, register, nightly.
        wait: seconds to wait for another holder.

    Raises:
        Busy: another process holds it. The message says who, for what, since when, and until when at most.
        ServiceUnavailable: MLflow does not let this user create registered models, or rename a dead holder's lock.
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
            f"{name} at once. It belongs to the user who made it, and remains if that user's process died. "
            "Let that user or an administrator delete it, then run the command again."
        ) from error
    try:
        yield mutex.still_held
    finally:
        mutex.release()


def holder_of(client: MlflowClient, name: str) -> Holder | None:
    """The process that is changing the registered model `name` now, or None."""
    return lock.look(client, name + lock.SUFFIX)


@dataclass
class _Mutex:
    client: MlflowClient
    name: str
    purpose: str
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    expires: datetime = field(default_factory=lease.now)
    """Until when other processes surely respect the lock. After a renewal that came too late, the lock itself says
    more.
    """

    @property
    def lock(self) -> str:
        return self.name + lock.SUFFIX

    def acquire(self, wait: float) -> None:
        deadline, pause = time.monotonic() + wait, PAUSES[0]
        found: Holder | None = None
        while found is not None or not self._create():
            found = lock.look(self.client, self.lock)
            if found is not None and found.token == self.token:  # created by a request that MLflow's client repeated
                self.expires = found.expires
                return
            alive = found is not None and not found.is_dead()
            if found is not None and not alive and lock.look(self.client, self.lock) == found:
                lock.bury(self.client, self.lock, found.token)
                found = None
            if time.monotonic() >= deadline + (0 if alive else TAKEOVER):
                raise Busy(
                    f"{self.name} is being changed by {found or 'another process'}. Run the command again when that "
                    f"is done. If that process is dead, its lock {self.lock} becomes free soon after its lease ends."
                )
            if alive and pause == PAUSES[0]:
                log.warning("Waiting for %s, for %g s at most.", found, wait)
            time.sleep(pause)
            pause = min(2 * pause, PAUSES[1])

    def still_held(self) -> None:
        """Make sure that at least half of the lease is left.

        Raises:
            Lost: the lease has ended, or another process has the lock.
        """
        found = lock.look(self.client, self.lock)
        if lease.now() < self.expires < lease.now() + lease.LEASE / 2:
            self._renew()
        if found is None or found.token != self.token or lease.now() >= self.expires:
            raise Lost(
                f"{self.name} is not changed any further: the lock {self.lock}, held for {self.purpose}, has run out"
                f"{f' and is now held by {found}' if found and found.token != self.token else ''}. "
                "What was written stays; run the command again to do the rest."
            )

    def release(self) -> None:
        """Free the lock if it is still held. A lock that cannot be freed ends with its lease or its process."""
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
        if lease.now() < self.expires:  # otherwise others may have seen the old lease end, and may take the lock
            self.expires = expires
