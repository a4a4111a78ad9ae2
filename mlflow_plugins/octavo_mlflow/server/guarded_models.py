"""What the gate reads of registered models: their state, their tags and their audit logs, from the server's own stores.

A log that is missing or was changed refuses the write that depends on it.
"""

from dataclasses import dataclass

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.model_registry.abstract_store import AbstractStore

from octavo.project.errors import AuditFailed
from octavo.promotion.audit_record import Aliases, Move
from octavo_mlflow.registry import standing
from octavo_mlflow.registry.audit_log import audit_run
from octavo_mlflow.registry.standing import ANCHOR, CHAMPION, PREVIOUS, State
from octavo_mlflow.server import new_versions, server_audit_log
from octavo_mlflow.server.refusal import refusal


@dataclass(frozen=True)
class Models:
    """The models in the server's registry."""

    store: AbstractStore

    def state(self, name: str) -> State:
        """The model's state; an empty one if there is no such model."""
        try:
            return standing.of(self.store.get_registered_model(name))
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return State(name, 0, {}, {})

    def is_ours(self, name: str) -> bool:
        """Whether Octavo registered the model."""
        return new_versions.is_ours(self.store, self.state(name))

    def tags_of(self, name: str, version: str) -> dict[str, str]:
        """The tags of a version; empty if there is no such version."""
        try:
            return dict(self.store.get_model_version(name, version).tags)
        except MlflowException:
            return {}

    def recorded(self, name: str) -> Aliases:
        """Where the audit log puts the aliases; empty if there is no log.

        Raises:
            MlflowException: the last record is missing or was changed.
        """
        head = self.head(name)
        return head.after if head else {}

    def head(self, name: str) -> Move | None:
        """The last record, or None before the first.

        Raises:
            MlflowException: it is missing or was changed.
        """
        now = self.state(name)
        sequence, last = now.head
        return self.record(now, sequence, last) if sequence else None

    def following(self, name: str, value: str | None, kind: str = audit_run.RECORDS) -> Move:
        """The record that a new `audit.head` names, checked against the preceding record and the present aliases.

        Args:
            name: of the registered model.
            value: of the tag: the number and the hash of the record.
            kind: the folder, `audit_run.RECORDS` or `audit_run.REQUESTS`.

        Raises:
            MlflowException: it is missing, or it does not follow.
        """
        now = self.state(name)
        sequence, last = now.head
        number, _, hash_ = (value or "").partition(" ")
        if number != str(sequence + 1):
            raise refusal(f"Record {sequence + 1} of the audit log of {name} comes next, not {number or 'none'}.")
        move = self.record(now, sequence + 1, hash_, kind)
        if move.model != name or move.parent != last or move.before != now.aliases or not _is_one_move(move):
            raise refusal(f"Record {number} of the audit log of {name} does not match the model's present aliases.")
        return move

    def record(self, now: State, sequence: int, hash_: str, kind: str = audit_run.RECORDS) -> Move:
        """The record, or the request, with that number and hash.

        Args:
            now: as for `server_audit_log.record`.
            sequence: likewise.
            hash_: likewise.
            kind: likewise.

        Raises:
            MlflowException: it is missing or was changed.
        """
        try:
            return server_audit_log.record(now, sequence, hash_, kind)
        except AuditFailed as error:
            raise refusal(str(error)) from None

    def chain(self, now: State) -> list[Move]:
        """All records of the log, first to last.

        Raises:
            MlflowException: one is missing or was changed.
        """
        try:
            return server_audit_log.chain(now)
        except AuditFailed as error:
            raise refusal(str(error)) from None


def _is_one_move(move: Move) -> bool:
    """Whether the old champion becomes previous, and the anchor either stays or becomes the new version."""
    if move.action == "repair":
        return True
    left = move.before.get(CHAMPION)
    previous = move.before.get(PREVIOUS) if left in (None, move.version) else left
    return (
        move.after.get(CHAMPION) == move.version
        and move.after.get(PREVIOUS) == previous
        and move.after.get(ANCHOR) in (move.before.get(ANCHOR), move.version)
    )
