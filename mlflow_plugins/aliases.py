"""The aliases of a registered model, and their moves: written down first, then made, so that none stays half made.

`champion` is in service, `previous` was before it, and `anchor` is the first that ever was: a challenger is held to it,
too, so that many small losses do not add up. MLflow sets one alias at a time and asks nobody what it was; so every
move is made inside the mutex, from the state that its verdict was found in, and read again afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mlflow import MlflowClient

from mlflow_plugins import audit_log
from pipeline.errors import AuditFailed, PromotionRefused
from pipeline.moves import Aliases, Move

CHAMPION, PREVIOUS, ANCHOR = "champion", "previous", "anchor"
ORDER = (PREVIOUS, ANCHOR, CHAMPION)
"""In which they are set: whoever looks up the champion sees the old one or the new one."""
DONE = "audit.done"
"""Tag of the registered model: the number of the last record whose move was made."""
ROLLED_BACK = "rolled.back"
"""Tag of a version that was champion and was taken back: it is not promoted again unless someone names it."""
RECORD = "audit.record"
"""Tag of a version: number and hash of the last record that made it champion."""


@dataclass(frozen=True)
class State:
    """A registered model's aliases and tags at one moment."""

    aliases: Aliases
    tags: dict[str, str]

    @property
    def champion(self) -> str | None:
        return self.aliases.get(CHAMPION)

    @property
    def unfinished(self) -> bool:
        """Whether the last move was written down but perhaps not made."""
        return audit_log.head(self.tags)[0] > int(self.tags.get(DONE, 0))


def state(client: MlflowClient, model: str) -> State:
    """Where the aliases stand now."""
    found = client.get_registered_model(model)
    ours = {alias: str(version) for alias, version in found.aliases.items() if alias in ORDER}
    return State(ours, dict(found.tags))


def settle(client: MlflowClient, model: str, still_held: Callable[[], None]) -> State:
    """Make the move that a killed process left unmade, if there is one; the state then. The caller holds the mutex.

    Raises:
        AuditFailed: the aliases stand neither where they were before that move nor where they belong after it.
    """
    found = state(client, model)
    if not found.unfinished:
        return found
    move = audit_log.last(client, model, found.tags)
    strays = {
        alias: version
        for alias, version in found.aliases.items()
        if version not in (move.before.get(alias), move.after.get(alias))
    }
    if strays:
        what = ", ".join(f"{alias} at version {version}" for alias, version in strays.items())
        raise AuditFailed(
            f"Move {move.sequence} of {model} was cut short, and aliases were moved by other means since: {what}. "
            "Set the aliases by hand to where they were before, then try again."
        )
    return _make(client, move, still_held)


def move(client: MlflowClient, planned: Move, grounds: str | None, still_held: Callable[[], None]) -> State:
    """Write `planned` down, then make it. The caller holds the mutex.

    Raises:
        PromotionRefused: the aliases are no longer where they were when the move was planned; nothing has moved.
    """
    found = settle(client, planned.model, still_held)
    if found.aliases != planned.before or audit_log.head(found.tags) != (planned.sequence - 1, planned.parent):
        raise PromotionRefused(
            f"{planned.variant} is not promoted: while it was judged, the champion of {planned.model} became version "
            f"{found.champion or 'none'}, and it was held to version {planned.before.get(CHAMPION, 'none')}. Try again."
        )
    still_held()
    audit_log.append(client, planned, grounds)
    return _make(client, planned, still_held)


def _make(client: MlflowClient, move: Move, still_held: Callable[[], None]) -> State:
    for alias in ORDER:
        if alias in move.after:
            still_held()
            client.set_registered_model_alias(move.model, alias, move.after[alias])
    made = state(client, move.model)
    if made.aliases != move.after:
        raise AuditFailed(
            f"The aliases of {move.model} are {made.aliases} after move {move.sequence}, which sets {move.after}. "
            "Somebody else moves them at the same time, not by octavo: see octavo status."
        )
    tags = {
        RECORD: f"{move.sequence} {move.hash}",
        f"{move.action}.by": move.who,
        f"{move.action}.when": move.when,
    }
    tags |= {f"{move.action}.why": move.note} if move.note else {}
    for name, value in tags.items():
        client.set_model_version_tag(move.model, move.version, name, value)
    if move.action == "rollback":
        client.set_model_version_tag(move.model, move.before[CHAMPION], ROLLED_BACK, f"{move.when} by {move.who}")
    client.set_registered_model_tag(move.model, DONE, str(move.sequence))
    return state(client, move.model)
