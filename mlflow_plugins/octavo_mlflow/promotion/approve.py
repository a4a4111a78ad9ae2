"""`octavo approve`: a second person approves a requested promotion. The last approval that is needed applies
the move.
"""

import json
from collections.abc import Iterator

import click
from mlflow import MlflowClient

from octavo.project.cli import typed_text
from octavo.project.errors import AuditFailed, ModelError, PromotionRefused
from octavo.project.params.params import load_params
from octavo.promotion import replay
from octavo.promotion.audit_record import Move
from octavo_mlflow.promotion import request
from octavo_mlflow.promotion.request import Request
from octavo_mlflow.registry import aliases, identity, standing
from octavo_mlflow.registry.aliases import Checked
from octavo_mlflow.registry.audit_log import audit_log
from octavo_mlflow.registry.mutex import mutex
from octavo_mlflow.registry.standing import CHAMPION
from octavo_mlflow.tracking import connection

PATIENCE = 30.0
"""Seconds to wait for another process that is promoting."""


def approve(version: str | None, yes: bool, withdraw: bool, as_json: bool) -> None:
    """Do what `octavo approve` asks for, and print it.

    Args:
        version: approve only if the request is for this version; None for any.
        yes: approve without asking.
        withdraw: withdraw the request instead.
        as_json: print JSON instead of text.

    Raises:
        PromotionRefused: the server has no user accounts, the request has lapsed, or this user may not approve it.
    """
    params = load_params()
    model = params.registry.model
    with connection.connected(existing=True) as client:
        standing.known(client, model)
        gate = identity.ask()
        needed = max(1, identity.needed(gate, params.policy))
        basis = aliases.checked(client, model)
        if basis.now.unfinished and not withdraw:
            _finish(client, model, as_json)
            return
        found = _opened(client, basis, version)
        if withdraw:
            _withdraw(client, found, yes)
            return
        if gate.user is None:
            raise PromotionRefused(
                f"MLflow at {connection.public()} has no user accounts, so nobody can approve anything there: see "
                "docs/team.md."
            )
        if (why := request.lapsed(client, basis, found.asked)) or (why := _misjudged(client, basis, found.asked)):
            raise PromotionRefused(
                f"The request has lapsed: {why}. Nothing has moved. To ask again: octavo promote {found.asked.variant}."
            )
        _refuse_own(found, gate.user, needed)
        click.echo("\n".join(map(typed_text.plain, _described(client, found, needed))), err=as_json)
        if not yes:
            click.confirm("Approve it?", abort=True, err=as_json)
        with mutex.held(client, model, "approve", PATIENCE) as still_held:
            done, made = request.approve(client, found, gate.user, needed, still_held)
    _tell(done, made, needed, as_json)


def _finish(client: MlflowClient, model: str, as_json: bool) -> None:
    """Apply the recorded move that was interrupted. It already has the approvals that it needed."""
    with mutex.held(client, model, "approve", PATIENCE) as still_held:
        made = aliases.settle(client, model, still_held).chain[-1]
        if made.request:
            request.withdraw(client, model)
    _tell(Request(made, made.approved), made, len(made.approved), as_json)


def _opened(client: MlflowClient, basis: Checked, version: str | None) -> Request:
    found = request.opened(client, basis.now)
    if found is None:
        raise ModelError(f"Nobody asks for a promotion of {basis.now.model}. To ask for one: octavo promote.")
    if version not in (None, found.asked.version):
        raise ModelError(f"The open request is of version {found.asked.version}, not of {version!a}: {found}.")
    return found


def _misjudged(client: MlflowClient, basis: Checked, asked: Move) -> str | None:
    """A clause if the verdict does not follow from the recorded grounds; otherwise None."""
    try:
        text = audit_log.grounds(client, basis.now, asked)
    except AuditFailed as error:
        return str(error)
    return next(replay.differences(asked, text), None)


def _refuse_own(found: Request, user: str | None, needed: int) -> None:
    """Refuse an approval that the server would refuse. With enough approvals, anybody may apply the move."""
    if len(found.approved) >= needed:
        return
    if user == found.asked.who:
        raise PromotionRefused(f"You asked for this promotion, {user}: somebody else has to approve it.")
    if user in found.approved:
        raise PromotionRefused(f"You already approved it, {user}: somebody else has to approve it too.")


def _withdraw(client: MlflowClient, found: Request, yes: bool) -> None:
    click.echo(f"{found}.")
    if not yes:
        click.confirm("Withdraw this request?", abort=True)
    with mutex.held(client, found.asked.model, "approve", PATIENCE):
        request.withdraw(client, found.asked.model)
    click.echo("The request is withdrawn. Nothing has moved.")


def _described(client: MlflowClient, found: Request, needed: int) -> Iterator[str]:
    asked = found.asked
    tags = client.get_model_version(asked.model, asked.version).tags
    yield f"{found}."
    figures = ", ".join(f"{name} {tags[name]}" for name in ("accuracy", "size_bytes", "latency_us") if name in tags)
    model, folder = (asked.digests[name][:12] for name in ("model", "folder"))
    yield f"Version {asked.version}: {figures}; sha256 of the model {model}…, of its folder {folder}…"
    yield from (f"{'met' if reason.met else 'unmet'}: {reason}" for reason in asked.reasons)
    yield f"After it: {', '.join(f'{alias} is version {number}' for alias, number in sorted(asked.after.items()))}."
    yield f"Approvals: {len(found.approved)} of {needed}."


def _tell(done: Request, made: Move | None, needed: int, as_json: bool) -> None:
    shown = {"model": done.asked.model, **done.shown, "moved": made is not None}
    click.echo(json.dumps(shown) if as_json else _said(done, made, needed))


def _said(done: Request, made: Move | None, needed: int) -> str:
    if made is None:
        return f"Approved: {len(done.approved)} of {needed}. {CHAMPION} stays until the others approve: octavo approve."
    left = made.before.get(CHAMPION)
    before = f", before it version {left}" if left else ""
    approved = f"; asked for by {made.who}, approved by {', '.join(made.approved)}" if made.request else ""
    return f"{CHAMPION}: {made.model} version {made.version} ({made.variant}){before}{approved}"
