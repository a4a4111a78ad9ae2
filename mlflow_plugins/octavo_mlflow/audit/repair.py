"""`octavo audit --repair`: bring audit log, aliases and copy into agreement again, and record the repair.

The log is restored from this machine's copy, or from the records that MLflow still holds. Records are added, never
overwritten. Aliases return to where the log left them. What cannot be repaired, such as a deleted version, is accepted
by name. All of this becomes a record of its own kind, so a repair stays visible for ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

from mlflow import MlflowClient

from octavo.project.cli import typed_text
from octavo.project.errors import AuditFailed
from octavo.promotion import audit_record
from octavo.promotion.audit_record import Aliases, Move
from octavo_mlflow.audit import soundness
from octavo_mlflow.audit.soundness import Found
from octavo_mlflow.registry import aliases, standing
from octavo_mlflow.registry.aliases import Checked
from octavo_mlflow.registry.audit_log import audit_copy, audit_log, audit_run
from octavo_mlflow.registry.mutex import mutex
from octavo_mlflow.registry.standing import CHAMPION, HEAD, LOG, State

PATIENCE = 30.0
"""Seconds to wait for another process that is promoting."""


def plan(client: MlflowClient, found: Found) -> list[str]:
    """What a repair would do, one sentence each.

    Raises:
        AuditFailed: neither MLflow nor this machine has the records from which the log can be restored.
    """
    cures = {fault.cure for fault in found.faults}
    said = []
    if "restore the log" in cures:
        truth = _truth(client, found.now)
        said.append(f"Records 1 to {len(truth)} are put back into MLflow, the last of {truth[-1].when}.")
        said.append("After that everything else is examined.")
        return said
    if "renew the copy" in cures:
        said.append("This machine's copy is renamed, and MLflow's log is copied again.")
    if "finish the move" in cures:
        said.append(f"Move {found.chain[-1].sequence}, which was interrupted, is finished.")
    if "put the aliases back" in cures:
        said.append(f"Aliases go to where the log left them: {audit_record.said(_target(client, found))}.")
    said += [f"The alias {fault.of!a} is deleted." for fault in found.faults if fault.cure == "drop the alias"]
    said += [f"Version {fault.of} names its record again." for fault in found.faults if fault.cure == "tag"]
    accepted = [fault.what for fault in found.faults if fault.cure == "accept"]
    said += [f"From here on it is accepted that {what}." for what in accepted]
    return said


def repair(client: MlflowClient, model: str, reason: str) -> Move:
    """Repair the faults, and return the record of the repair.

    Args:
        client: of the tracking store.
        model: name of the registered model.
        reason: why, in the user's words.

    Raises:
        AuditFailed: the log cannot be restored from the records at hand, or a fault remains.
    """
    typed_text.check(reason, "The reason")
    with mutex.held(client, model, "repair", PATIENCE) as still_held:
        found = soundness.examine(client, model)
        restored = []
        if any(fault.cure == "restore the log" for fault in found.faults):
            truth = _restore(client, found.now, still_held)
            restored = [
                f"{fault.what}: what was found, records 1 to {len(truth)}, was put back" for fault in found.faults
            ]
            found = soundness.examine(client, model)
        if any(fault.cure == "restore the log" for fault in found.faults):
            raise AuditFailed(f"The audit log of {model} could not be restored: {found.faults[0]}.")
        if any(fault.cure == "renew the copy" for fault in found.faults):
            audit_copy.set_aside(found.now, found.chain)
        if any(fault.cure == "finish the move" for fault in found.faults):
            now = aliases.make(client, found.now, found.chain[-1], still_held)
            found = replace(found, now=now)
        _tag(client, found, still_held)
        dropped = _drop(client, found, still_held)
        return _record(client, found, [*restored, *dropped], reason, still_held)


def _restore(client: MlflowClient, now: State, still_held: Callable[[], None]) -> list[Move]:
    """Restore the log, and return its records."""
    truth = _truth(client, now)
    run = audit_run.revive(client, now)
    there = audit_log.records(client, now)
    taken = {item.path for item in client.list_artifacts(run, audit_run.RECORDS)}
    for move in truth:
        if move.hash not in there:
            still_held()
            places = (audit_run.place(audit_run.RECORDS, move, copy) for copy in count(1))
            client.log_text(run, move.line(), next(place for place in places if place not in taken))
    still_held()
    client.set_registered_model_tag(now.model, LOG, run)
    client.set_registered_model_tag(now.model, HEAD, truth[-1].name)
    client.set_registered_model_tag(now.model, standing.DONE, str(truth[-1].sequence))
    return truth


def _truth(client: MlflowClient, now: State) -> list[Move]:
    """The longest chain of records from this machine's copy and from MLflow.

    A record beyond the copy and beyond the last applied move counts only if the head names it, because anybody may have
    stored it.

    Raises:
        AuditFailed: there is none.
    """
    stored = audit_log.records(client, now)
    own = audit_copy.any_of(now, stored)
    by_hash = stored | {move.hash: move for move in own}
    chains = [chain for move in by_hash.values() if (chain := _back(move, by_hash))]
    fitting = [chain for chain in chains if chain[: len(own)] == own] or chains
    known = max(len(own), _done(now))
    fitting = [chain for chain in fitting if len(chain) <= known or now.tags.get(HEAD) == chain[-1].name] or fitting
    if not fitting:
        raise AuditFailed(
            f"The audit log of {now.model} cannot be restored: neither MLflow nor {audit_copy.PLACE} has its records. "
            "Run octavo audit --repair on a machine that has promoted before, or start again under another "
            "registry.model."
        )
    return max(fitting, key=lambda chain: (len(chain), chain[-1].after == now.aliases))


def _done(now: State) -> int:
    """The number of the last applied move; 0 if its tag was changed."""
    try:
        return now.done
    except AuditFailed:
        return 0


def _back(move: Move, by_hash: dict[str, Move]) -> list[Move]:
    """The chain that ends with `move`; empty if one of its records is missing."""
    found = [move]
    while found[-1].sequence > 1:
        before = by_hash.get(found[-1].parent)
        if before is None or before.sequence != found[-1].sequence - 1:
            return []
        found.append(before)
    return found[::-1] if found[-1].parent == audit_record.ORIGIN else []


def _tag(client: MlflowClient, found: Found, still_held: Callable[[], None]) -> None:
    """Set the tag of each version that must name the record that made it champion."""
    last = audit_record.champions(found.chain)
    for fault in found.faults:
        if fault.cure == "tag":
            move = last[fault.of]
            still_held()
            client.set_model_version_tag(found.now.model, move.version, aliases.RECORD, move.name)


def _drop(client: MlflowClient, found: Found, still_held: Callable[[], None]) -> list[str]:
    """Delete aliases that could be taken for Octavo's; what the record says of it."""
    dropped = [fault for fault in found.faults if fault.cure == "drop the alias"]
    for fault in dropped:
        still_held()
        client.delete_registered_model_alias(found.now.model, fault.of)
    return [f"{fault.what}: it was deleted" for fault in dropped]


def _record(
    client: MlflowClient, found: Found, mended: Sequence[str], reason: str, still_held: Callable[[], None]
) -> Move:
    """Record the repair, including what was `mended` before it, and apply it."""
    now, chain = found.now, found.chain
    after = _target(client, found) if chain else now.aliases
    last = chain[-1] if chain else None
    left = [fault.what for fault in found.faults if fault.cure in ("accept", "renew the copy")]
    accepted = tuple(dict.fromkeys([*mended, *left]))
    made = Move(
        **Checked(now, chain, aliases.gone(client, now, last) if last else {}).next,
        action="repair",
        model=now.model,
        variant=last.variant if last else "",
        version=after.get(CHAMPION, ""),
        after=after,
        reasons=(),
        note=reason,
        digests={},
        known=accepted,
    )
    still_held()
    audit_log.append(client, now, made, None)
    done = aliases.make(client, now, made, still_held)
    audit_copy.update(done, [*chain, made])
    return made


def _target(client: MlflowClient, found: Found) -> Aliases:
    """Where the aliases belong: where the last record left them, as far as the versions exist.

    If the last move was interrupted, and its version was deleted since or is not what the record says, it is where they
    were before that move.
    """
    last, model = found.chain[-1], found.now.model
    undone = found.now.unfinished and (
        (last.action != "repair" and aliases.number(client, model, last.version) is None)
        or aliases.unfit(client, found.now, last) is not None
    )
    belong = last.before if undone else last.after
    numbers = {alias: aliases.number(client, model, version) for alias, version in belong.items()}
    return {alias: number for alias, number in numbers.items() if number is not None}
