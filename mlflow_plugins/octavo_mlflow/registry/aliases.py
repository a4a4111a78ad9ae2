"""Move the aliases of a registered model. Each move is recorded first and applied second, so none stays half applied.

Octavo moves three aliases. `champion` is in service. `previous` was champion before it. `anchor` is the first champion
ever: the gate also compares each challenger with it, so that many small losses cannot add up.

MLflow sets one alias at a time and does not check its old value. Therefore each move runs inside the mutex, starts from
the state that was judged, and is read back afterwards. Before anything is written, the audit log, the tags, this
machine's copy of the log and the aliases must agree. If they do not, nothing moves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from octavo.project.cli import typed_text
from octavo.project.errors import AuditFailed, ModelError, PromotionRefused
from octavo.promotion import audit_record
from octavo.promotion.audit_record import FOLDER, Aliases, Move
from octavo_mlflow.registry import identity, standing, versions
from octavo_mlflow.registry.audit_log import audit_copy, audit_log
from octavo_mlflow.registry.mutex import lease
from octavo_mlflow.registry.standing import CHAMPION, DONE, ORDER, State

ROLLED_BACK = "rolled.back"
"""Tag of a version that was champion and was rolled back. It is promoted again only if someone names it. The
audit log says so too."""
RECORD = "audit.record"
"""Tag of a version: number and hash of the last record that made it champion."""


@dataclass(frozen=True)
class Checked:
    """A registered model and its audit log, after a check that they agree."""

    now: State
    chain: list[Move]
    gone: Aliases
    """Aliases that the last record set, and that MLflow dropped because their versions were deleted."""

    @property
    def follows(self) -> dict[str, Any]:
        """The fields that bind the next record to the previous one and to the present aliases."""
        last = self.chain[-1] if self.chain else None
        return {
            "sequence": len(self.chain) + 1,
            "parent": last.hash if last else audit_record.ORIGIN,
            "before": self.now.aliases,
            "gone": self.gone,
        }

    @property
    def next(self) -> dict[str, Any]:
        """The first fields of the next record. Asks the server for the user's name; raises as `identity.name`."""
        return {**self.follows, "when": lease.now().isoformat(timespec="seconds"), "who": identity.name()}


def checked(client: MlflowClient, model: str) -> Checked:
    """Read the model's state and its whole audit log, and check that log, tags, aliases and this machine's copy agree.

    Raises:
        AuditFailed: they do not agree.
    """
    now = standing.state(client, model)
    chain = audit_log.read(client, now)
    known = {each for move in chain for each in move.known}
    found = [fault for fault in audit_record.faults(chain, now.made / 1000) if fault not in known]
    found += audit_copy.faults(now, chain)
    lost = gone(client, now, chain[-1]) if chain else {}
    if chain and not now.unfinished and {**now.aliases, **lost} != chain[-1].after:
        found.append(moved(now, chain[-1]))
    if dangling := missing(client, model, now.aliases):
        found.append(f"there is {audit_record.said(dangling)}, which is gone")
    if found:
        raise AuditFailed(f"The audit log of {model} is not intact: {'; '.join(found)}. {audit_log.REPAIR}")
    return Checked(now, chain, lost)


def moved(now: State, last: Move) -> str:
    """The clause for aliases that are not where the audit log left them."""
    return (
        f"the log left {audit_record.said(last.after)}, and now there is {audit_record.said(now.aliases)}: "
        "they were moved by other means"
    )


def gone(client: MlflowClient, now: State, last: Move) -> Aliases:
    """Aliases that the last record set, and that MLflow dropped because their versions were deleted.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        last: the last record of its audit log.
    """
    lost = {alias: version for alias, version in last.after.items() if alias not in now.aliases}
    return {alias: version for alias, version in lost.items() if number(client, now.model, version) is None}


def settle(client: MlflowClient, model: str, still_held: Callable[[], None]) -> Checked:
    """Apply the last recorded move if a killed process did not finish it, then return as `checked`.

    The caller holds the mutex.

    Args:
        client: of the tracking store.
        model: name of the registered model.
        still_held: called before each write; raises if the mutex is lost.

    Raises:
        AuditFailed: log, tags, copy and aliases do not agree, an alias is neither where it was before the unfinished
            move nor where that move puts it, or the record of that move is not of the version that it names.
    """
    found = checked(client, model)
    if not found.now.unfinished:
        return found
    move = found.chain[-1]
    if strays := strayed(found.now, move):
        raise AuditFailed(
            f"Move {move.sequence} of {model} was interrupted, and since then aliases were moved without octavo: "
            f"{audit_record.said(strays)}. {audit_log.REPAIR}"
        )
    if lost := missing(client, model, move.after):
        raise AuditFailed(
            f"Move {move.sequence} of {model} was interrupted, and since then a version was deleted that it sets an "
            f"alias to: {audit_record.said(lost)}. {audit_log.REPAIR}"
        )
    if why := unfit(client, found.now, move):
        raise AuditFailed(
            f"Move {move.sequence} of {model} was interrupted and is not finished: {why}. {audit_log.REPAIR}"
        )
    return replace(found, now=make(client, found.now, move, still_held), gone={})


def unfit(client: MlflowClient, now: State, move: Move) -> str | None:
    """Why a recorded move must not be applied: its record contradicts MLflow. None if the two agree.

    This check distinguishes the record of an interrupted move from a forged record.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        move: the last record of its audit log.
    """
    if move.action == "repair":
        return None
    try:
        version = client.get_model_version(now.model, move.version)
        if versions.model_file(version).sha256 != move.digests.get("model"):
            return f"its record is of another model than version {move.version}"
        if move.digests.get(FOLDER, folder := versions.folder_digest(client, version)) != folder:
            return f"its record is of other files than those of version {move.version}"
        if move.action == "promote" and "grounds" not in move.digests:
            return "its record does not say what it was judged by"
        if move.action == "promote":
            audit_log.grounds(client, now, move)
    except (ModelError, AuditFailed) as error:
        return error.clause(audit_log.REPAIR)
    return None


def strayed(now: State, move: Move) -> Aliases:
    """Aliases that are neither where they were before the move nor where the move puts them."""
    ends = (move.before, move.after)
    return {alias: version for alias, version in now.aliases.items() if version not in [end.get(alias) for end in ends]}


def missing(client: MlflowClient, model: str, aliases: Aliases) -> Aliases:
    """Those of these aliases whose versions are deleted.

    Args:
        client: of the tracking store.
        model: name of the registered model.
        aliases: alias -> version.
    """
    return {alias: version for alias, version in aliases.items() if number(client, model, version) is None}


def move(client: MlflowClient, planned: Move, grounds: str | None, still_held: Callable[[], None]) -> State:
    """Record the planned move in the audit log, then apply it. The caller holds the mutex.

    Args:
        client: of the tracking store.
        planned: the record of the move.
        grounds: what the verdict follows from, as JSON; None if nothing was judged.
        still_held: called before each write; raises if the mutex is lost.

    Raises:
        ModelError: this machine's copy of the log cannot be written. Nothing has moved.
        PromotionRefused, AuditFailed, ParamsError: as `begin`. Nothing has moved.
    """
    found = begin(client, planned, still_held)
    audit_copy.prepare(found.now, found.chain)
    still_held()
    audit_log.append(client, found.now, planned, grounds)
    made = make(client, found.now, planned, still_held)
    audit_copy.update(made, [*found.chain, planned])
    return made


def begin(client: MlflowClient, planned: Move, still_held: Callable[[], None]) -> Checked:
    """Check that the planned move is the next one, and return the model's state. The caller holds the mutex.

    Args:
        client: of the tracking store.
        planned: the record of the move.
        still_held: called before each write; raises if the mutex is lost.

    Raises:
        PromotionRefused: the aliases have moved since the move was planned.
        AuditFailed: as `settle`.
        ParamsError: the record contains characters that break a line.
    """
    for words in filter(None, (planned.note, planned.who, planned.variant)):
        typed_text.check(words, f"A record of the audit log would hold {words[:80]!a}, which")
    found = settle(client, planned.model, still_held)
    if any(getattr(planned, name) != value for name, value in found.follows.items()):
        raise PromotionRefused(
            f"{planned.variant} is not promoted: while it was judged, the champion of {planned.model} became version "
            f"{found.now.champion or 'none'}, but it was compared with version {planned.before.get(CHAMPION, 'none')}. "
            "Try again."
        )
    return found


def make(client: MlflowClient, now: State, move: Move, still_held: Callable[[], None]) -> State:
    """Set the aliases of a recorded move, and tag its version with the move. The caller holds the mutex.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        move: the last record of its audit log.
        still_held: called before each write; raises if the mutex is lost.

    Raises:
        AuditFailed: another program moved the aliases at the same time.
    """
    for alias in ORDER:
        if alias in move.after and now.aliases.get(alias) != move.after[alias]:
            still_held()
            client.set_registered_model_alias(now.model, alias, move.after[alias])
        elif alias in now.aliases and alias not in move.after:
            still_held()
            client.delete_registered_model_alias(now.model, alias)
    made = standing.state(client, now.model)
    if made.aliases != move.after:
        raise AuditFailed(
            f"After move {move.sequence} of {now.model}, which leaves {audit_record.said(move.after)}, there is "
            f"{audit_record.said(made.aliases)}. Somebody else moved them at the same time without octavo: "
            "see octavo status."
        )
    for name, value in tags(move).items():
        client.set_model_version_tag(now.model, move.version, name, value)
    if move.action == "rollback":
        client.set_model_version_tag(now.model, move.before[CHAMPION], ROLLED_BACK, f"{move.when} by {move.who}")
    client.set_registered_model_tag(now.model, DONE, str(move.sequence))
    return standing.state(client, now.model)


def tags(move: Move) -> dict[str, str]:
    """The tags that a move puts on the version that becomes champion. A repair makes no champion and sets none."""
    if move.action == "repair":
        return {}
    found = {
        RECORD: move.name,
        f"{move.action}.by": move.who,
        f"{move.action}.when": move.when,
    }
    return found | ({f"{move.action}.why": move.note} if move.note else {})


def was_rolled_back(version: ModelVersion, chain: Sequence[Move]) -> bool:
    """Whether the version was champion and was taken back: by its tag, or by the log where somebody deleted that."""
    left = {move.before.get(CHAMPION, "").lstrip("0") for move in chain if move.action == "rollback"}
    return ROLLED_BACK in version.tags or str(version.version) in left


def number(client: MlflowClient, model: str, version: str) -> str | None:
    """The version's number as MLflow writes it (`03` becomes `3`), or None if the model has no such version.

    Args:
        client: of the tracking store.
        model: name of the registered model.
        version: the number as a person typed it or a record holds it.
    """
    try:
        return str(client.get_model_version(model, version).version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
