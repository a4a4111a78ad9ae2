"""A lock as a registered model: what MLflow does with one in a transaction each, and what it says to who comes late.

MLflow reads a model and its tags one after the other, so a lock that is renamed in between seems to have no tags.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from octavo_mlflow.mutex import lease
from octavo_mlflow.mutex.lease import Holder

TOMBSTONE = timedelta(hours=1)
"""How long the name of a dead lock's tombstone stays taken."""
LATE_CREATE = ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST")
"""Another was first; the second where that one is gone before MLflow looks at it to word its answer."""
LATE_RENAME = (*LATE_CREATE, "BAD_REQUEST")
"""The same; the third where two rename at once, and the database finds one row less than it was to change."""


def create(client: MlflowClient, lock: str, tags: dict[str, str], about: str) -> bool:
    """Whether this process was the one to make the lock; its tags are there with it."""
    with _tolerating(*LATE_CREATE):
        client.create_registered_model(lock, tags, about)
        return True
    return False


def look(client: MlflowClient, lock: str) -> Holder | None:
    """The lock's holder, or None where there is no lock."""
    with _tolerating("RESOURCE_DOES_NOT_EXIST"):
        found = client.get_registered_model(lock)
        return lease.read(found if found.tags else client.get_registered_model(lock))
    return None


def renew(client: MlflowClient, lock: str, token: str, expires: datetime) -> None:
    """Let the lock say that the lease of `token` ends later; under another's token nobody reads that."""
    with _tolerating("RESOURCE_DOES_NOT_EXIST"):
        client.set_registered_model_tag(lock, lease.lease_tag(token), expires.isoformat())


def bury(client: MlflowClient, lock: str, token: str) -> None:
    """Free the name `lock` by turning what bears it into the tombstone of `token`, unless that one stands already."""
    with _tolerating(*LATE_RENAME):
        client.rename_registered_model(lock, _tombstone(lock, token))


def sweep(client: MlflowClient, lock: str, token: str | None) -> None:
    """Delete the tombstone of `token`, and those that have stood for long enough."""
    old = (lease.now() - TOMBSTONE).timestamp() * 1000
    for found in client.search_registered_models(f"name LIKE '{_tombstone(lock, '%')}'"):
        buried = lease.read(found).token
        is_tombstone = found.name == _tombstone(lock, buried) and not found.latest_versions
        if is_tombstone and (buried == token or found.last_updated_timestamp < old):
            with suppress(MlflowException):  # somebody was faster, or it is another user's
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
