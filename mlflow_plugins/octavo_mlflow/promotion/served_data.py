"""The data that the models in service were made of, by the manifests that their promotions recorded."""

from collections.abc import Sequence

from mlflow import MlflowClient
from pydantic import ValidationError

from octavo.data.splits import Manifest
from octavo.project.errors import AuditFailed
from octavo.project.files import json_file
from octavo.promotion.audit_record import Move
from octavo.promotion.evidence import Grounds
from octavo_mlflow.registry import audit_log
from octavo_mlflow.registry.standing import ANCHOR, CHAMPION, State


def manifests(client: MlflowClient, now: State, chain: Sequence[Move]) -> dict[str, Manifest | None]:
    """Alias -> the manifest of the data that its version was made of, for `champion` and `anchor` where they are set.

    None where there is no record of the version's promotion, where what is beside it was changed, or where this release
    cannot read it.

    Args:
        client: of the tracking store.
        now: the registered model.
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
