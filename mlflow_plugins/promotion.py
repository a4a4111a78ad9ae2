"""`octavo promote VARIANT`: the alias `champion` moves to a variant that passed the gate, and to no other."""

import json

import click
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from mlflow_plugins import models, terms, tracking
from pipeline import layout
from pipeline.decision import Decision, load_decision
from pipeline.errors import ModelError, PromotionRefused
from pipeline.params import load_params
from pipeline.scorecard import Scorecard, load_scorecards

CHAMPION = "champion"
PREVIOUS = "previous"


@click.command()
@click.argument("variant")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def promote(variant: str, as_json: bool) -> None:
    """Move the alias champion to VARIANT; the version before it becomes previous."""
    card = load_scorecards(layout.SCORECARDS).card(variant)
    _check_passed(load_decision(layout.DECISION), variant)
    name = load_params().registry.model
    with tracking.connected() as client:
        version = _current_version(client, name, card)
        models.check_stored(client.get_model_version_download_uri(name, version.version), card.model)
        before = _move_champion(client, name, version)
    result = {"model": name, "variant": variant, "version": str(version.version), "previous": before}
    was = f", before it version {before}" if before else ""
    click.echo(json.dumps(result) if as_json else f"{CHAMPION}: {name} version {version.version} ({variant}){was}")


def _check_passed(decision: Decision, variant: str) -> None:
    """Hold the variant to the gate's decision.

    Raises:
        PromotionRefused: its verdict is not `pass`; the message has the reasons.
    """
    verdict = decision.verdict(variant)
    if verdict is not None and verdict.verdict == "pass":
        return
    if verdict is None:
        why = "it has no verdict, as the baseline never has"
    else:
        missed = [reason for reason in verdict.reasons if not reason.met]
        rules = "; ".join(f"{reason.rule} {reason.value:.4g}, limit {reason.limit:g}" for reason in missed)
        why = f"the verdict is {verdict.verdict}: {rules}"
    passing = ", ".join(other.variant for other in decision.verdicts if other.verdict == "pass") or "none"
    raise PromotionRefused(
        f"{variant} is not promoted, {why}. Passing: {passing}. The limits are `policy` in params.yaml; "
        "after a change run dvc repro."
    )


def _current_version(client: MlflowClient, name: str, card: Scorecard) -> ModelVersion:
    """The version that shows this very scorecard."""
    found = client.search_model_versions(f"name = '{name}' and tag.`{terms.DIGEST}` = '{terms.digest(card)}'")
    if not found:
        raise ModelError(f"MLflow has no version of {name} for {card.variant} as measured. Run dvc repro.")
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
