"""Get a version's files only if every one of them is as it was judged.

A version that is or was champion is checked against the audit log, any other against its registration. The deployment
target, `octavo verify` and everything that loads `models:/…` use this module.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from octavo.project.errors import AuditFailed
from octavo.promotion.audit_record import FOLDER, Move
from octavo_mlflow.registry import aliases, copies, standing, tags, versions
from octavo_mlflow.registry.audit_log import audit_copy, audit_log
from octavo_mlflow.registry.standing import DONE, HEAD, LOG, ORDER, State


@contextmanager
def folder(client: MlflowClient, version: ModelVersion, alias: str | None = None) -> Iterator[Path]:
    """A temporary local copy of all files of a version's model, checked.

    Args:
        client: of the tracking store.
        version: registered by Octavo.
        alias: the alias it was found by, if any. An alias of Octavo's must be where the audit log put it.

    Raises:
        ModelError: the files differ from those that were judged, or Octavo did not register the version.
        AuditFailed: the audit log or the alias was changed by another program.
    """
    move = promotion(client, version, alias)
    model = versions.model_file(version)
    with versions.folder(client, version) as place:
        versions.check_logged_model(place, version)
        name = versions.place(model)
        if not (place / name).is_file():
            raise versions.Damaged(f"Version {version.version} of {version.name} has no file {name} any more.")
        versions.check(place / name, model, name)
        check(place, version, move)
        yield place


def promotion(client: MlflowClient, version: ModelVersion, alias: str | None = None) -> Move | None:
    """The last record that made the version champion, or None. For a copy, the record of its original.

    Args:
        client: of the tracking store.
        version: registered by Octavo, or a copy of such a version.
        alias: the alias it was found by, if any.

    Raises:
        AuditFailed: the audit log or the alias was changed by another program.
    """
    version = copies.original(client, version)
    now = standing.state(client, version.name)
    if not {HEAD, DONE, LOG} & now.tags.keys() and tags.DIGEST not in version.tags:
        return None
    if now.head[0]:
        audit_log.check_done(now)
    found = None
    for move in audit_log.backwards(client, now):
        if move.name == now.tags[HEAD]:
            _check_alias(now, move, alias)
        if move.action != "repair" and move.number == str(version.version):
            found = move
            break
    audit_copy.check_head(now)
    if found is None and aliases.RECORD in version.tags:
        raise AuditFailed(
            f"Version {version.version} of {version.name} says that record "
            f"{version.tags[aliases.RECORD].partition(' ')[0]!a} of its audit log made it champion, and none did. "
            f"{audit_log.REPAIR}"
        )
    return found


def check(place: Path, version: ModelVersion, move: Move | None) -> None:
    """Check all files of a version's model against the record that made it champion, or against its registration.

    Args:
        place: a local copy of the model's folder.
        version: the version.
        move: the record that made it champion, or None.

    Raises:
        Damaged: a file was changed, added or removed.
    """
    if move is not None and FOLDER in move.digests:
        since = f"judged, by record {move.sequence} of its audit log"
        versions.check_folder(place, move.digests[FOLDER], version, since)
    else:
        versions.check_folder(place, version.tags.get(tags.FOLDER), version, "registered")


def _check_alias(now: State, last: Move, alias: str | None) -> None:
    """Raise if one of Octavo's aliases is neither where the last move put it nor, during that move, where it was before
    it.
    """
    if alias not in ORDER:
        return
    allowed = {last.after.get(alias)} | ({last.before.get(alias)} if now.unfinished else set())
    if now.aliases.get(alias) not in allowed:
        raise AuditFailed(f"{now.model}: {aliases.moved(now, last)}. {audit_log.REPAIR}")
