"""The data that the models in service were made of, from the manifests that their promotions recorded."""

from collections.abc import Sequence

from mlflow import MlflowClient
from pydantic import ValidationError

from octavo.data.splits import Manifest
from octavo.project.errors import AuditFailed
from octavo.project.files import json_file
from octavo.promotion.audit_record import Move
from octavo.promotion.evidence import Grounds
from octavo_mlflow.registry.audit_log import audit_log
from octavo_mlflow.registry.standing import ANCHOR, CHAMPION, State


def manifests(client: MlflowClient, now: State, chain: Sequence[Move]) -> dict[str, Manifest | None]:
    """The recorded data manifest of the champion's and the anchor's version, by alias.

    The value is None if the version has no record of a promotion, if the recorded grounds were changed, or if this
    release cannot read them.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        chain: its audit log.
    """
    recorded = {move.version: move for move in chain if move.reasons}
    standing = {alias: now.aliases[alias] for alias in (CHAMPION, ANCHOR) if alias in now.aliases}
    read = {
        version: _manifest(client, now, recorded[version]) if version in recorded else None
        for version in sorted(set(standing.values()))
    }
    return {alias: read[version] for alias, version in standing.items()}


def _manifest(client: MlflowClient, now: State, move: Move) -> Manifest | None:
    try:
        text = audit_log.grounds(client, now, move)
        return Manifest.model_validate(json_file.parse_record(text, Grounds).scorecards.data)
    except (AuditFailed, json_file.Unreadable, ValidationError):
        return None
