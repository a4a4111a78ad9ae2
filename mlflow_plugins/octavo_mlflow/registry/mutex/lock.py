"""A lock as a registered model: one MLflow transaction for each operation, and the errors of a process that is too
late.

MLflow reads a model and its tags in two steps, so a lock that is renamed in between can seem to have no tags.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from octavo_mlflow.registry.mutex import lease
from octavo_mlflow.registry.mutex.lease import Holder

SUFFIX = ".lock"
"""Of the name of the registered model that is the lock of another one."""
TOMBSTONE = timedelta(hours=1)
"""How long the name of a dead lock's tombstone stays taken."""
LATE_CREATE = ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST")
"""Another process was first. The second code appears if that process's lock is gone before MLflow words its answer."""
LATE_RENAME = (*LATE_CREATE, "BAD_REQUEST")
"""As `LATE_CREATE`. The third code appears if two processes rename at once, and the database finds one row too few."""


def create(client: MlflowClient, lock: str, tags: dict[str, str], about: str) -> bool:
    """Create the lock together with its tags, and return whether this process was the one to create it.

    Args:
        client: of the tracking store.
        lock: name of the registered model that is the lock.
        tags: as from `lease.tags`.
        about: description for people who see the lock in MLflow.
    """
    with _tolerating(*LATE_CREATE):
        client.create_registered_model(lock, tags, about)
        return True
    return False


def look(client: MlflowClient, lock: str) -> Holder | None:
    """The lock's holder, or None if there is no lock."""
    with _tolerating("RESOURCE_DOES_NOT_EXIST"):
        found = client.get_registered_model(lock)
        return lease.read(found if found.tags else client.get_registered_model(lock))
    return None


def renew(client: MlflowClient, lock: str, token: str, expires: datetime) -> None:
    """Record a later end of the lease of `token`. If the lock has another token, nobody reads this tag.

    Args:
        client: of the tracking store.
        lock: name of the registered model that is the lock.
        token: of the holder.
        expires: new end of the lease, in UTC.
    """
    with _tolerating("RESOURCE_DOES_NOT_EXIST"):
        client.set_registered_model_tag(lock, lease.lease_tag(token), expires.isoformat())


def bury(client: MlflowClient, lock: str, token: str) -> None:
    """Free the name `lock`: rename the lock to the tombstone of `token`, unless that tombstone exists already.

    Args:
        client: of the tracking store.
        lock: name of the registered model that is the lock.
        token: of the lock that ends.
    """
    with _tolerating(*LATE_RENAME):
        client.rename_registered_model(lock, _tombstone(lock, token))


def sweep(client: MlflowClient, lock: str, token: str | None) -> None:
    """Delete the tombstone of `token`, and all tombstones older than `TOMBSTONE`.

    Args:
        client: of the tracking store.
        lock: name of the registered model that is the lock.
        token: of the lock that ended; None to delete only the old ones.
    """
    old = (lease.now() - TOMBSTONE).timestamp() * 1000
    for found in client.search_registered_models(f"name LIKE '{_tombstone(lock, '%')}'"):
        buried = lease.read(found).token
        is_tombstone = found.name == _tombstone(lock, buried) and not found.latest_versions
        if is_tombstone and (buried == token or found.last_updated_timestamp < old):
            with suppress(MlflowException):  # another process was faster, or it belongs to another user
                client.delete_registered_model(found.name)


def _tombstone(lock: str, token: str) -> str:
    return f"{lock}.{token}"


@contextmanager
def _tolerating(*codes: str) -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        if error.error_code not in codes:
            raise
