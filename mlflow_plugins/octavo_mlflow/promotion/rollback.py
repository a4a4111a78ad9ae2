"""`octavo rollback`: make the previous champion, or a named version, the champion again.

It needs MLflow and this project's `params.yaml`, but no training environment and no artifacts.
"""

import json
import re

import click
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from octavo.project.errors import ModelError, PromotionRefused
from octavo.project.params.params import load_params
from octavo.promotion.audit_record import FOLDER, Move
from octavo_mlflow.registry import aliases, identity, standing, versions
from octavo_mlflow.registry.aliases import Checked
from octavo_mlflow.registry.audit_log import audit_copy
from octavo_mlflow.registry.mutex import mutex
from octavo_mlflow.registry.standing import CHAMPION, PREVIOUS
from octavo_mlflow.tracking import connection

PATIENCE = 3.0
"""Seconds to wait for another process that is registering or promoting."""

NUMBER = re.compile(r"[1-9]\d{0,8}", re.ASCII)
"""A version's number as MLflow writes it. MLflow also reads `03`, `+3` and ` 3` as 3, and then no alias would match its
record.
"""


def rollback(version: str | None, reason: str | None, as_json: bool) -> None:
    """Do what `octavo rollback` asks for, and print it. Raises as `move_back`.

    Args:
        version: to return to; None for the previous champion.
        reason: in the user's words; it is recorded.
        as_json: print JSON instead of text.
    """
    params = load_params()
    model = params.registry.model
    with connection.connected(existing=True) as client:
        four_eyes = max(identity.ask().approvals, params.policy.approvals) > 0
        made = move_back(client, model, version, reason, four_eyes)
    left = made.before[CHAMPION]
    shown = {"model": model, "variant": made.variant, "version": made.version, "previous": left}
    said = f"{CHAMPION}: {model} version {made.version} ({made.variant}), rolled back from version {left}"
    click.echo(json.dumps(shown) if as_json else said)


def move_back(
    client: MlflowClient,
    model: str,
    version: str | None = None,
    reason: str | None = None,
    four_eyes: bool = False,
) -> Move:
    """Make `previous`, or the given version, the champion again, and return the record of the move.

    If an earlier rollback was interrupted, it is finished and its record is returned. The version that was rolled back
    is promoted again only if someone names its variant.

    Args:
        client: of the tracking store.
        model: name of the registered model.
        version: its number; None for `previous`.
        reason: why, in the user's words.
        four_eyes: whether promotions need approvals. Then only a former champion can become champion this way.

    Raises:
        ModelError: there is no such version, it is the champion already, or its bytes are not those that were measured.
        PromotionRefused: the champion changed meanwhile, or the version was never champion and needs approvals.
        AuditFailed: another program changed the aliases or the log.
    """
    with mutex.held(client, model, "rollback", PATIENCE) as still_held:
        unfinished = standing.state(client, model).unfinished
        basis = aliases.settle(client, model, still_held)
        if unfinished and _is_done(basis.chain[-1], version):
            audit_copy.update(basis.now, basis.chain)
            return basis.chain[-1]
        made = _plan(client, _previous(client, basis) if version is None else version, basis, reason)
        if four_eyes and not any(move.version == made.version and move.action != "repair" for move in basis.chain):
            raise PromotionRefused(
                f"Version {made.version} of {model} was never champion, and here a promotion needs approvals. To ask "
                f"for them: octavo promote {made.variant} --force --reason '…'."
            )
        aliases.move(client, made, None, still_held)
    return made


def _is_done(last: Move, version: str | None) -> bool:
    """Whether the move that was just finished is the requested rollback."""
    return last.action == "rollback" and version in (None, last.version)


def _previous(client: MlflowClient, basis: Checked) -> str:
    """The previous version, unless it was rolled back itself, so that two rollbacks do not restore the fault."""
    now, model = basis.now, basis.now.model
    if PREVIOUS not in now.aliases:
        raise ModelError(
            f"No version of {model} was champion before this one. Name the version: octavo rollback VERSION."
        )
    number = now.aliases[PREVIOUS]
    if aliases.was_rolled_back(client.get_model_version(model, number), basis.chain):
        raise ModelError(
            f"Version {number} of {model}, the champion before this one, was rolled back itself. Nothing has moved. To "
            f"return to it anyway, name it: octavo rollback {number}."
        )
    return number


def _plan(client: MlflowClient, number: str, basis: Checked, reason: str | None) -> Move:
    now, model = basis.now, basis.now.model
    if now.champion is None:
        raise ModelError(f"{model} has no champion to roll back from. Promote one: octavo promote.")
    if not NUMBER.fullmatch(number):
        raise ModelError(f"{model} has no version {number[:80]!a}. See octavo status.")
    if number == now.champion:
        raise ModelError(f"Version {number} of {model} is the champion already. Name another, see octavo status.")
    try:
        version = client.get_model_version(model, number)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise ModelError(f"{model} has no version {number}. See octavo status.") from None
    file = versions.model_file(version)
    with versions.fetched(client, version):
        pass
    before = next((move for move in reversed(basis.chain) if move.version == number and FOLDER in move.digests), None)
    digest = versions.checked_digest if before is None else versions.folder_digest
    folder = digest(client, version)
    if before is not None and before.digests[FOLDER] != folder:
        raise versions.Damaged(
            f"Version {number} of {model} has other files beside its model than when it was champion by record "
            f"{before.sequence}. Nothing has moved. Name another version, or promote one: octavo promote."
        )
    return Move(
        **basis.next,
        action="rollback",
        model=model,
        variant=versions.variant(version),
        version=number,
        after={**now.aliases, PREVIOUS: now.champion, CHAMPION: number},
        reasons=(),
        note=reason,
        digests={"model": file.sha256, FOLDER: folder},
    )
