"""Check of `octavo doctor`: locks on registered models, and whether their holders live."""

from collections.abc import Iterator

from octavo.project.errors import OctavoError
from octavo.project.setting_up.examination.check_result import CheckResult
from octavo_mlflow.registry.mutex import lease, lock
from octavo_mlflow.tracking import connection

NAME = "model locks"


def check() -> Iterator[CheckResult]:
    """A line for each lock; nothing where there is no store that answers, because another line says so.

    A dead holder's lock is in order: the next process that changes the model takes it over.
    """
    try:
        with connection.connected(existing=True) as client:
            found = client.search_registered_models(f"name LIKE '%{lock.SUFFIX}'")
            holders = {each.name: lock.look(client, each.name) or lease.read(each) for each in found}
    except OctavoError:
        return
    for name, holder in holders.items():
        left = "left behind; the next promotion takes it over" if holder.is_dead() else "in use"
        yield CheckResult(NAME, f"{name} is {left}: {holder}")
    if not holders:
        yield CheckResult(NAME, "nothing was left behind")
