"""`octavo promote VARIANT`: the alias `champion` moves to a variant that passed the gate, and to no other."""

import json
from typing import Any

import click
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from mlflow_plugins import models, terms, tracking
from pipeline import errors, layout
from pipeline.errors import ModelError, PromotionRefused
from pipeline.params import load_params
from pipeline.scorecard import Scorecard, load_scorecards

CHAMPION = "champion"
PREVIOUS = "previous"


@click.command()
@click.argument("variant")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def promote(variant: str, as_json: bool) -> None:
    """Move the alias champion to VARIANT; the version before keeps the alias previous."""
    with errors.boundary():
        card = load_scorecards(layout.SCORECARDS).card(variant)
        _check_verdict(variant)
        name = load_params().registry.model
        with tracking.connected() as client:
            version = _current_version(client, name, card)
            models.check_stored(client.get_model_version_download_uri(name, version.version), card.model)
            before = _move_champion(client, name, version)
    result = {"model": name, "variant": variant, "version": str(version.version), "previous": before}
    was = f", before it version {before}" if before else ""
    click.echo(json.dumps(result) if as_json else f"{CHAMPION}: {name} version {version.version} ({variant}){was}")


def _check_verdict(variant: str) -> None:
    """Hold the variant to the decision that `report` took.

    Raises:
        ModelError: there is no decision on it.
        PromotionRefused: the verdict is not `pass`; the message has its reasons.
    """
    try:
        decision: dict[str, Any] = json.loads(layout.DECISION.read_text(encoding="utf-8"))
        verdicts = {verdict["variant"]: verdict for verdict in decision["verdicts"]}
        verdict = verdicts[variant]
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        raise ModelError(f"{layout.DECISION} has no verdict on '{variant}'. Run dvc repro.") from None
    if verdict["verdict"] != "pass":
        reasons = "; ".join(f"{why['rule']} {why['value']}, limit {why['limit']}" for why in verdict["reasons"])
        passing = ", ".join(name for name, other in verdicts.items() if other["verdict"] == "pass") or "none"
        raise PromotionRefused(
            f"{variant} is not promoted, its verdict is {verdict['verdict']}: {reasons}. Passing: {passing}. "
            "The limits are policy in params.yaml."
        )


def _current_version(client: MlflowClient, name: str, card: Scorecard) -> ModelVersion:
    """The version that shows this very scorecard."""
    found = client.search_model_versions(f"name = '{name}' and tag.`{terms.DIGEST}` = '{terms.digest(card)}'")
    if not found:
        raise ModelError(f"MLflow has no version of {name} for {card.variant} as measured. Run dvc repro register.")
    return max(found, key=lambda version: int(version.version))


def _move_champion(client: MlflowClient, name: str, version: ModelVersion) -> str | None:
    """The version that was champion before, now `previous`; None where nothing moved away."""
    before = client.get_registered_model(name).aliases.get(CHAMPION)
    if before is not None and str(before) == str(version.version):
        return None
    if before is not None:
        client.set_registered_model_alias(name, PREVIOUS, before)
    client.set_registered_model_alias(name, CHAMPION, version.version)
    return None if before is None else str(before)
