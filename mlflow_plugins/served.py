"""The data that the models in service were made of, by the manifests that their promotions recorded."""

from mlflow import MlflowClient
from pydantic import ValidationError

from mlflow_plugins import audit_log
from mlflow_plugins.aliases import ANCHOR, CHAMPION, State
from pipeline.grounds import Grounds
from pipeline.splits import Manifest


def manifests(client: MlflowClient, model: str, now: State) -> dict[str, Manifest | None]:
    """Alias -> the manifest of the data that its version was made of, for `champion` and `anchor` where they are set.

    None where there is no record of the version's promotion, or none that this release can read.

    Raises:
        AuditFailed: the log was changed.
    """
    recorded = {move.version: move for move in audit_log.copy(client, model, now.tags) if move.reasons}
    standing = {alias: now.aliases[alias] for alias in (CHAMPION, ANCHOR) if alias in now.aliases}
    read = {
        version: _manifest(audit_log.grounds(client, recorded[version])) if version in recorded else None
        for version in sorted(set(standing.values()))
    }
    return {alias: read[version] for alias, version in standing.items()}


def _manifest(grounds: str) -> Manifest | None:
    try:
        return Manifest.model_validate(Grounds.model_validate_json(grounds).scorecards.data)
    except ValidationError:
        return None
