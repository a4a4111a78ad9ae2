"""A mutex on the MLflow registry: one process at a time changes a registered model, on whatever machine it runs.

The lock of `octavo` is the registered model `octavo.lock`, because creating a registered model is decided by the
database: of many creators one wins. Who dies leaves it to the others, who bury it by renaming it to
`octavo.lock.<token>` and then compete anew. Who is done buries it too, and leaves nothing.

A rename takes what bears the name now, not what bore it when the token was read. Yet a process that saw a dead lock,
slept, and wakes after a living one has taken its place does not get that one: the name it would give it is taken by
the dead lock's tombstone, which stays for a day. And were it to sleep for longer than that, still no two processes
would write: each asks `still_held` before it does.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_plugins import holder
from mlflow_plugins.holder import LEASE, Holder
from pipeline.errors import ServiceUnavailable

TOMBSTONE = timedelta(days=1)
"""How long a dead lock's own name stays taken."""
TAKEOVER = 10.0
"""Seconds within which somebody succeeds a dead holder."""
PAUSES = (0.05, 1.0)
"""Seconds between attempts, the first and the longest."""
LATE_CREATE = ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST")
"""MLflow's words for another having been first; the second where that one is gone before MLflow looks at it."""
LATE_RENAME = (*LATE_CREATE, "BAD_REQUEST")
"""The same; the third where two rename at once, and the database finds one row less than it was to change."""

log = logging.getLogger(__name__)


class Busy(ServiceUnavailable):
    """Another process holds the mutex. Trying again later helps, hence exit code 3."""


class Lost(ServiceUnavailable):
    """The lease ran out, or another process holds the mutex: nothing more may be written."""


@contextmanager
def held(
    client: MlflowClient, name: str, purpose: str, wait: float = 0, lease: timedelta = LEASE
) -> Iterator[Callable[[], None]]:
    """Be the only process that changes the registered model `name`, after waiting up to `wait` seconds for others.

    Yields `still_held`, to be called right before each write. It raises `Lost` where the mutex is gone, and renews
    the lease where less than half of it is left, so that each write has half a lease to take effect.

    `purpose` is what others read that the mutex is held for: promote, rollback, register, nightly.

    Raises:
        Busy: another process holds it; the message says who, for what, since when, and until when at most.
        ServiceUnavailable: MLflow lets this user neither create registered models nor move away a dead holder's lock.
        MlflowException: MLflow does not answer.
    """
    lock = _Lock(client, name, purpose, lease)
    try:
        lock.acquire(wait)
    except MlflowException as error:
        if error.error_code != "PERMISSION_DENIED":
            raise
        raise ServiceUnavailable(
            f"MLflow denies access to the registered model {lock.name}, which keeps two processes from changing "
            f"{name} at once. It belongs to the user who made it, and is left behind where that one's process died: "
            "have it deleted by that user or an administrator, and run the command again."
        ) from error
    try:
        yield lock.still_held
    finally:
        lock.release()


@dataclass
class _Lock:
    client: MlflowClient
    protects: str
    purpose: str
    lease: timedelta
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    expires: datetime = field(default_factory=holder.now)
    """Until when others are sure to let it be; a tag that was renewed too late may say more."""

    @property
    def name(self) -> str:
        return f"{self.protects}.lock"

    def acquire(self, wait: float) -> None:
        deadline, pause = time.monotonic() + wait, PAUSES[0]
        while not self._create():
            found = self.look()
            if found is not None and found.token == self.token:  # made by a request that MLflow's client repeated
                self.expires = found.expires
                return
            alive = found is not None and not found.is_dead()
            if found is not None and not alive and self.look() == found:  # else it was let go before it was dead
                self._bury(found.token)
            if time.monotonic() >= deadline + (0 if alive else TAKEOVER):
                raise Busy(
                    f"{self.protects} is being changed by {found or 'another process'}. Run the command again when "
                    f"that is done; if that process is gone, its lock {self.name} is taken over soon after its lease."
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
        found = self.look()
        if holder.now() < self.expires < holder.now() + self.lease / 2:
            self._renew()
        if found is None or found.token != self.token or holder.now() >= self.expires:
            raise Lost(
                f"{self.protects} is not changed any further: the lock {self.name}, held for {self.purpose}, has run "
                f"out{f' and gone to {found}' if found and found.token != self.token else ''}. "
                "What is written stands; run the command again to do the rest."
            )

    def release(self) -> None:
        """Free the lock if it is still held; one that cannot be freed ends with its lease or its process."""
        try:
            self.still_held()
            self._bury(self.token)
            self._sweep()
        except Lost:
            pass
        except MlflowException as error:
            log.warning("%s could not be removed and ends with its lease: %s", self.name, error)

    def _create(self) -> bool:
        self.expires = holder.now() + self.lease
        tags = holder.tags(self.token, self.purpose, self.expires)
        about = f"{tags['owner']} is changing {self.protects} ({self.purpose}). Octavo removes this when it is done."
        with _tolerating(*LATE_CREATE):
            self.client.create_registered_model(self.name, tags, about)
            return True
        return False

    def _renew(self) -> None:
        expires = holder.now() + self.lease
        with _tolerating("RESOURCE_DOES_NOT_EXIST"):
            self.client.set_registered_model_tag(self.name, holder.lease_tag(self.token), expires.isoformat())
            if holder.now() < self.expires:  # else others may have seen the old lease run out, and be about to act
                self.expires = expires

    def look(self) -> Holder | None:
        with _tolerating("RESOURCE_DOES_NOT_EXIST"):
            return holder.read(self.client.get_registered_model(self.name))
        return None

    def _bury(self, token: str) -> None:
        with _tolerating(*LATE_RENAME):
            self.client.rename_registered_model(self.name, self._tombstone(token))

    def _sweep(self) -> None:
        """Delete this lock's tombstone if nobody can have taken it for dead, and those that have stood long enough."""
        now, names = holder.now(), []
        for found in self.client.search_registered_models(f"name LIKE '{self._tombstone('%')}'"):
            buried = holder.read(found)
            in_time = buried.token == self.token and now < self.expires
            old = now - TOMBSTONE > datetime.fromtimestamp(found.last_updated_timestamp / 1000, timezone.utc)
            if (in_time or old) and found.name == self._tombstone(buried.token) and not found.latest_versions:
                names.append(found.name)
        for name in names:
            with suppress(MlflowException):  # somebody was faster, or it is another user's
                self.client.delete_registered_model(name)

    def _tombstone(self, token: str) -> str:
        return f"{self.name}.{token}"


@contextmanager
def _tolerating(*codes: str) -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        if error.error_code not in codes:
            raise


def holder_of(client: MlflowClient, name: str) -> Holder | None:
    """Who is changing the registered model `name` now."""
    return _Lock(client, name, "", LEASE).look()
