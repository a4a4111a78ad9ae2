"""`octavo audit` and `octavo replay`: whether the log, the aliases, the bytes and the verdicts are what they were."""

import hashlib
import math
from collections.abc import Iterator, Sequence

import click
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import ValidationError

from mlflow_plugins import aliases, audit_log, registered, tracking
from mlflow_plugins.aliases import State
from pipeline import layout, moves
from pipeline.decision import Reason
from pipeline.errors import AuditFailed, ModelError
from pipeline.grounds import Grounds, judge
from pipeline.moves import Move
from pipeline.params import load_params


@click.command()
def audit() -> None:
    """Verify the log of promotions, and that every promoted version still has the bytes that were judged."""
    model = load_params().registry.model
    with tracking.connected() as client:
        now = aliases.state(client, model)
        found = audit_log.read(client, model, now.tags)
        for move in found:
            click.echo(
                f"{move.sequence:4}  {move.when}  {move.action:9}  version {move.version:4}  {move.variant}  {move.who}"
            )
        faults = [*_in_log(model, found, now), *_in_registry(client, found, now)]
    if faults:
        raise AuditFailed(f"The audit log of {model} does not hold: " + "; ".join(faults) + ".")
    click.echo(f"{len(found)} moves of {model}: the chain is whole, and every version has the bytes that were judged.")


@click.command()
@click.argument("record", type=click.IntRange(min=1), required=False)
def replay(record: int | None) -> None:
    """Judge a past promotion again from what was recorded of it: RECORD, or the last one."""
    model = load_params().registry.model
    with tracking.connected() as client:
        promotions = [move for move in audit_log.read(client, model, aliases.state(client, model).tags) if move.reasons]
        known = {move.sequence: move for move in promotions}
        if not known or (record is not None and record not in known):
            numbers = ", ".join(map(str, known)) or "none yet"
            raise ModelError(f"No promotion {record or ''} of {model} to replay. Recorded: {numbers}.")
        move = known[record or max(known)]
        text = audit_log.grounds(client, move)
    faults = [*_in_grounds(move, text)] or [*_in_verdict(move, text)]
    if faults:
        raise AuditFailed(f"Record {move.sequence} of {model} does not hold: {'; '.join(faults)}.")
    for reason in move.reasons:
        click.echo(f"{'met' if reason.met else 'unmet'}: {reason}")
    forced = f", forced: {move.note}" if move.note else ""
    click.echo(f"Record {move.sequence}: {move.variant} is judged as it was on {move.when}{forced}.")


def _in_log(model: str, found: Sequence[Move], now: State) -> Iterator[str]:
    yield from moves.faults(found)
    sequence, last = audit_log.head(now.tags)
    if found and found[-1].hash != last:
        yield f"record {sequence} is not the one that the registered model names"
    own = moves.read(layout.audit_log(model))
    if own != list(found[: len(own)]):
        yield f"{layout.audit_log(model)} says something else than MLflow's copy"
    if now.unfinished:
        yield f"move {sequence} was cut short; the next octavo promote, rollback or nightly makes it"
    elif found and now.aliases != found[-1].after:
        yield f"the aliases are {now.aliases}, the log says {found[-1].after}: they were moved by other means"


def _in_registry(client: MlflowClient, found: Sequence[Move], now: State) -> Iterator[str]:
    for move in {move.version: move for move in found}.values():
        yield from _in_version(client, move, now)
    for move in found:
        if "grounds" in move.digests:
            yield from _in_grounds(move, audit_log.grounds(client, move))


def _in_version(client: MlflowClient, move: Move, now: State) -> Iterator[str]:
    """What is wrong with the version that was promoted, `move` being the last that made it champion."""
    try:
        version = client.get_model_version(move.model, move.version)
        if version.tags.get(aliases.RECORD) != f"{move.sequence} {move.hash}" and not now.unfinished:
            yield f"version {move.version} does not name record {move.sequence}"
        if registered.model_file(version).sha256 != move.digests["model"]:
            yield f"the digest of version {move.version} was changed"
        with registered.fetched(client, version):
            pass
    except ModelError as error:
        yield str(error).rstrip(".")
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        yield f"version {move.version} or its file is gone"


def _in_grounds(move: Move, text: str) -> Iterator[str]:
    if hashlib.sha256(text.encode()).hexdigest() != move.digests["grounds"]:
        yield f"what record {move.sequence} was judged by was changed"


def _in_verdict(move: Move, text: str) -> Iterator[str]:
    try:
        again = judge(Grounds.model_validate_json(text)).reasons
    except ValidationError as error:
        yield f"what it was judged by cannot be read by this release of Octavo ({error.error_count()} faults)"
        return
    before = {reason.rule: reason for reason in move.reasons}
    for reason in again:
        if not _alike(before.pop(reason.rule, None), reason):
            yield f"{reason.rule} is now {reason}"
    yield from (f"{rule} is judged no more" for rule in before)


def _alike(one: Reason | None, other: Reason) -> bool:
    """Equal to what another release of a numerical library may compute otherwise."""
    if one is None or one.code != other.code:
        return False
    if one.value is None or other.value is None:
        return one.value is other.value
    return math.isclose(one.value, other.value, rel_tol=1e-6, abs_tol=1e-9)
