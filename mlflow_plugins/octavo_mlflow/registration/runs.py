"""The MLflow run of one variant: find it by digest, check that it is complete, log it."""

from dataclasses import dataclass

import mlflow
from mlflow import MlflowClient
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined] # made when it is imported
from mlflow.entities import LifecycleStage, LoggedModelInput, Run, ViewType
from mlflow.exceptions import MlflowException

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project import paths
from octavo.project.params.params import Params
from octavo.promotion.decision import Decision
from octavo_mlflow.flavors import logging
from octavo_mlflow.registration import artifacts
from octavo_mlflow.registry import tags as registry_tags
from octavo_mlflow.tracking import dataset_source


@dataclass(frozen=True)
class Repro:
    """The results of one `dvc repro`."""

    scorecards: Scorecards
    decision: Decision
    params: Params


def find(client: MlflowClient, experiment: str, digest: str) -> tuple[Run | None, bool]:
    """The complete run with this digest, and whether it had to be restored. Incomplete runs are deleted.

    Args:
        client: of the tracking store.
        experiment: its id.
        digest: of the scorecard.
    """
    active, deleted = look(client, experiment, digest)
    complete = next((run for run in active + deleted if is_complete(client, run)), None)
    for run in active:
        if run is not complete:
            _discard(client, run)
    if complete in deleted:
        client.restore_run(complete.info.run_id)
    return complete, complete in deleted


def look(client: MlflowClient, experiment: str, digest: str) -> tuple[list[Run], list[Run]]:
    """The active runs and the deleted runs with this digest.

    Args:
        client: of the tracking store.
        experiment: its id.
        digest: of the scorecard.
    """
    runs = client.search_runs([experiment], f"tags.`{registry_tags.DIGEST}` = '{digest}'", ViewType.ALL)
    active = [run for run in runs if run.info.lifecycle_stage == LifecycleStage.ACTIVE]
    return active, [run for run in runs if run not in active]


def is_complete(client: MlflowClient, run: Run) -> bool:
    """Whether the run finished and its model's files still exist."""
    logged = model_id(run)
    if run.info.status != "FINISHED" or logged is None:
        return False
    try:
        client.get_logged_model(logged)
        return bool(client.list_logged_model_artifacts(logged))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False


def model_id(run: Run) -> str | None:
    """The id of the model that the run logged, or None."""
    return run.outputs.model_outputs[0].model_id if run.outputs and run.outputs.model_outputs else None


def log(experiment: str, card: Scorecard, repro: Repro) -> Run:
    """Log one run. The model comes before its metrics, because MLflow would otherwise copy them to it a second time.

    Args:
        experiment: its id.
        card: the variant's scorecard.
        repro: scorecards, decision and parameters of the project.
    """
    dataset = _test_split(card, repro.scorecards)
    tags = registry_tags.tags(card) | _lineage_tags(card, repro.scorecards)
    tags |= registry_tags.judged(card, repro.decision)
    with mlflow.start_run(experiment_id=experiment, run_name=card.variant, tags=tags) as run:
        mlflow.log_params(registry_tags.params(card, repro.params.variant(card.variant).options))
        logged = logging.log(card)
        mlflow.log_input(dataset, context="test", model=LoggedModelInput(logged))
        mlflow.log_metrics(registry_tags.metrics(card), dataset=dataset, model_id=logged)
        artifacts.log(run.info.run_id, logged, card, repro.scorecards, repro.decision, repro.params)
        mlflow.log_dict(card.model_dump(mode="json"), "scorecard.json")
    return mlflow.get_run(run.info.run_id)


def _discard(client: MlflowClient, run: Run) -> None:
    """Delete an incomplete run, with the models that it started."""
    begun = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    for model in begun:
        client.delete_logged_model(model.model_id)
    client.delete_run(run.info.run_id)


def _test_split(card: Scorecard, scorecards: Scorecards) -> MetaDataset:
    """The data that the figures were measured on, by digest. MLflow shows all of it, so it is short."""
    path = paths.split("test")
    place = dataset_source.of(path) or LocalArtifactDatasetSource(str(path.absolute()))
    name = f"{scorecards.data.get('source', 'data')}-test"
    return MetaDataset(place, name, card.lineage.data[:12])  # type: ignore[abstract] # as MLflow's own example does


def _lineage_tags(card: Scorecard, scorecards: Scorecards) -> dict[str, str]:
    """The `dvc repro`, lock and commit behind the figures. The commit is that of the measurement, not of the present
    run.
    """
    found = {"pipeline": scorecards.pipeline, "dvc.lock": card.lineage.dvc_lock, "git.commit": card.lineage.git}
    return {name: value for name, value in found.items() if value}
