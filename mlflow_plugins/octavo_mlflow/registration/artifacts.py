"""Artifacts of a variant in MLflow: texts in the model's folder, figures and the report in the run."""

from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project import paths
from octavo.project.files import atomic_write
from octavo.project.params.params import Params
from octavo.promotion.decision import Decision
from octavo.reporting.documents.bundle import cards
from octavo.reporting.figures.per_variant import pictures


def log(
    run_id: str, model_id: str, card: Scorecard, scorecards: Scorecards, decision: Decision, params: Params
) -> None:
    """Log scorecard, model card and bill of materials beside the model's file, and figures and report in the run.

    Args:
        run_id: of the variant's run.
        model_id: of its logged model.
        card: the variant's scorecard.
        scorecards: of all variants.
        decision: of the gate.
        params: of the project.
    """
    client = MlflowClient()
    with TemporaryDirectory() as folder:
        for name, text in cards(card, scorecards, decision, params).items():
            atomic_write.write_text(Path(folder, name), text)
        client.log_model_artifacts(model_id, folder)
    with TemporaryDirectory() as folder:
        for name, picture in pictures(card, scorecards).items():
            atomic_write.write_bytes(Path(folder, name), picture)
        client.log_artifacts(run_id, folder)
    log_report(client, run_id)


def log_report(client: MlflowClient, run_id: str) -> None:
    """Log the present report on all variants in one run, so that each version has the report of its time."""
    if paths.REPORT.is_file():
        client.log_artifact(run_id, str(paths.REPORT))
