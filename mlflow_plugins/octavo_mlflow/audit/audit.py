"""`octavo audit` and `octavo replay`: check that audit log, aliases, bytes and verdicts are unchanged."""

import json
from collections.abc import Sequence

import click
from mlflow import MlflowClient

from octavo.project.errors import AuditFailed, ModelError
from octavo.project.params.params import load_params
from octavo.promotion import replay as promotion_replay
from octavo.promotion.audit_record import Move
from octavo_mlflow.audit import repair, soundness
from octavo_mlflow.audit.soundness import Found
from octavo_mlflow.registry import copies, standing
from octavo_mlflow.registry.audit_log import audit_copy, audit_log
from octavo_mlflow.tracking import connection


def audit(mend: bool, yes: bool, reason: str | None, as_json: bool) -> None:
    """Do what `octavo audit` asks for, and print it.

    Args:
        mend: show what would repair the faults, and do it if the user agrees.
        yes: repair without asking.
        reason: for the repair, in the user's words; it is recorded.
        as_json: print records and faults as JSON.

    Raises:
        AuditFailed: the audit log is not intact.
    """
    registry = load_params().registry
    model = registry.model
    with connection.connected(existing=True) as client:
        standing.known(client, model)
        found = soundness.examine(client, model)
        if as_json:
            shown = [move.model_dump(mode="json") for move in found.chain]
            click.echo(json.dumps({"model": model, "moves": shown, "faults": list(map(str, found.faults))}, indent=1))
        else:
            _show(found.chain)
        if mend:
            _repair(client, found, yes, reason)
            found = soundness.examine(client, model)
        notes = [*copies.elsewhere(client, found.now), *copies.strays(client, found.chain, model, registry)]
    for note in notes:
        click.echo(f"Note: {note}.")
    if found.faults:
        raise AuditFailed(
            f"The audit log of {model} is not intact: {'; '.join(map(str, found.faults))}. {audit_log.REPAIR}"
        )
    if as_json:
        return
    accepted = [each for move in found.chain for each in move.known]
    click.echo(
        f"{len(found.chain)} moves of {model}: the chain is whole, and every version has the bytes that were judged"
        f"{', except for what repairs accepted: ' + '; '.join(accepted) if accepted else ''}."
    )


def replay(record: int | None) -> None:
    """Do what `octavo replay` asks for, and print it."""
    model = load_params().registry.model
    with connection.connected(existing=True) as client:
        now = standing.known(client, model)
        promotions = [move for move in audit_log.read(client, now) if move.reasons]
        audit_copy.check_head(now)
        known = {move.sequence: move for move in promotions}
        if not known or (record is not None and record not in known):
            numbers = ", ".join(map(str, known)) or "none yet"
            raise ModelError(f"No promotion {record or ''} of {model} to replay. Recorded: {numbers}.")
        move = known[record or max(known)]
        try:
            text = audit_log.grounds(client, now, move)
        except AuditFailed as error:
            raise AuditFailed(f"Record {move.sequence} of {model} is not intact: {error}.") from None
    if faults := [*promotion_replay.differences(move, text)]:
        raise AuditFailed(f"Record {move.sequence} of {model} is not intact: {'; '.join(faults)}.")
    for reason in move.reasons:
        click.echo(f"{'met' if reason.met else 'unmet'}: {reason}")
    forced = f", forced: {move.note}" if move.note else ""
    click.echo(f"Record {move.sequence}: the verdict on {move.variant} is the same as on {move.when}{forced}.")


def _show(chain: Sequence[Move]) -> None:
    for move in chain:
        approved = f", approved by {', '.join(move.approved)}" if move.approved else ""
        moved = f"{move.sequence:4}  {move.when}  {move.action:9}  version {move.version:4}  {move.variant}"
        click.echo(f"{moved}  {move.who}{approved}")


def _repair(client: MlflowClient, found: Found, yes: bool, reason: str | None) -> None:
    """Show the faults and the repair; apply it after confirmation."""
    if not found.faults:
        return
    for fault in found.faults:
        click.echo(f"Fault: {fault}.")
    for step in repair.plan(client, found):
        click.echo(f"Repair: {step}")
    if not yes:
        click.confirm("Do that, and record it?", abort=True)
        reason = reason or click.prompt("Why, in your words")
    made = repair.repair(client, found.now.model, str(reason))
    click.echo(f"Repaired, and recorded as move {made.sequence}.")
