"""Bring MLflow up to date with the scorecards: one run, one model and one version per variant.

Local files are the truth and MLflow a view of them. The key is `terms.digest`, so a second run finds everything in
place and adds nothing, what was deleted in MLflow comes back, and new figures become a new run and version: those of
a version never change under its alias. A variant is written in the order run, model, figures, version, the run ends as
FINISHED only when it is complete, and so whatever a killed process left behind is recognized and replaced.
Who finds something to add takes the mutex and looks again, so that two processes do not add the same; looking costs
nobody a turn. Aliases are promotion's business.
"""

from collections.abc import Callable
from dataclasses import dataclass

import mlflow
from mlflow import MlflowClient
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined] # made when it is imported
from mlflow.entities import LifecycleStage, LoggedModelInput, Run, ViewType
from mlflow.exceptions import MlflowException

from mlflow_plugins import companions, dataset_source, models, mutex, terms, tracking
from pipeline import layout
from pipeline.decision import load_decision
from pipeline.params import Params
from pipeline.scorecard import Scorecard, Scorecards

WAIT = 120.0
"""Seconds that other processes may take to register or to promote before this one gives up."""


@dataclass(frozen=True)
class Registration:
    """What `register` did, by variant, and how to look at it."""

    added: list[str]
    unchanged: list[str]
    look: str

    def __str__(self) -> str:
        added = f" ({', '.join(self.added)})" if self.added else ""
        return f"MLflow: {len(self.added)} added{added}, {len(self.unchanged)} unchanged. To look: {self.look}"


def register(scorecards: Scorecards, params: Params) -> Registration:
    """Make MLflow show exactly these scorecards; added are the variants for which it lacked something.

    Raises:
        ModelError: a local or a stored model file is not the one that was measured.
        ParamsError: a scorecard's variant is not in `params.yaml`.
        ServiceUnavailable: the tracking store does not answer, or another process is at work on it for too long.
    """
    for card in scorecards.scorecards:
        params.variant(card.variant)
        models.check_local(card.model)
    with tracking.connected() as client:
        lacking = _lacking(client, scorecards, params)
        added = _add(client, lacking, scorecards, params) if lacking else []
        unchanged = [card.variant for card in scorecards.scorecards if card.variant not in added]
        look = tracking.how_to_look(tracking.experiment(client, params.registry.experiment))
        return Registration(added, unchanged, look)


def _lacking(client: MlflowClient, scorecards: Scorecards, params: Params) -> list[Scorecard]:
    """The scorecards that MLflow does not show as they are; looking changes nothing."""
    experiment = client.get_experiment_by_name(params.registry.experiment)
    if experiment is None or experiment.lifecycle_stage == LifecycleStage.DELETED:
        return scorecards.scorecards
    place, name = experiment.experiment_id, params.registry.model
    return [card for card in scorecards.scorecards if not _is_shown(client, place, card, name)]


def _is_shown(client: MlflowClient, experiment: str, card: Scorecard, name: str) -> bool:
    active, _ = _find_runs(client, experiment, terms.digest(card))
    return len(active) == 1 and _is_complete(client, active[0]) and _has_version(client, name, active[0])


def _add(client: MlflowClient, cards: list[Scorecard], scorecards: Scorecards, params: Params) -> list[str]:
    """Bring these variants up to date, undisturbed; those for which there was still something to add."""
    with mutex.held(client, params.registry.model, "register", WAIT) as still_held:
        experiment = tracking.experiment(client, params.registry.experiment)
        _ensure_registered_model(client, params.registry.model)
        return [
            card.variant
            for card in cards
            if _bring_up_to_date(client, experiment, card, scorecards, params, still_held)
        ]


def _ensure_registered_model(client: MlflowClient, name: str) -> None:
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name)


def _bring_up_to_date(
    client: MlflowClient,
    experiment: str,
    card: Scorecard,
    scorecards: Scorecards,
    params: Params,
    still_held: Callable[[], None],
) -> bool:
    """Add what MLflow lacks of one variant, and tell whether that was anything."""
    still_held()
    complete, restored = _find_run(client, experiment, terms.digest(card))
    run = complete or _log_run(experiment, card, scorecards, params)
    name = params.registry.model
    if _has_version(client, name, run):
        return restored
    model_id = _model_id(run)
    still_held()
    client.create_model_version(
        name, f"models:/{model_id}", run.info.run_id, tags=terms.version_tags(card), model_id=model_id
    )
    return True


def _find_run(client: MlflowClient, experiment: str, digest: str) -> tuple[Run | None, bool]:
    """The complete run of this digest, and whether it had to be restored; incomplete ones are deleted."""
    active, deleted = _find_runs(client, experiment, digest)
    complete = next((run for run in active + deleted if _is_complete(client, run)), None)
    for run in active:
        if run is not complete:
            _discard(client, run)
    if complete in deleted:
        client.restore_run(complete.info.run_id)
    return complete, complete in deleted


def _find_runs(client: MlflowClient, experiment: str, digest: str) -> tuple[list[Run], list[Run]]:
    """The runs of this digest: those that are there, and those that were deleted."""
    runs = client.search_runs([experiment], f"tags.`{terms.DIGEST}` = '{digest}'", ViewType.ALL)
    active = [run for run in runs if run.info.lifecycle_stage == LifecycleStage.ACTIVE]
    return active, [run for run in runs if run not in active]


def _has_version(client: MlflowClient, name: str, run: Run) -> bool:
    return bool(client.search_model_versions(f"name = '{name}' and run_id = '{run.info.run_id}'", max_results=1))


def _is_complete(client: MlflowClient, run: Run) -> bool:
    """Whether the run ended well and its model's files are still there."""
    model_id = _model_id(run)
    if run.info.status != "FINISHED" or model_id is None:
        return False
    try:
        client.get_logged_model(model_id)
        return bool(client.list_logged_model_artifacts(model_id))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False


def _discard(client: MlflowClient, run: Run) -> None:
    """Delete a run that is not complete, with the models it had begun."""
    begun = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    for model in begun:
        client.delete_logged_model(model.model_id)
    client.delete_run(run.info.run_id)


def _model_id(run: Run) -> str | None:
    return run.outputs.model_outputs[0].model_id if run.outputs and run.outputs.model_outputs else None


def _log_run(experiment: str, card: Scorecard, scorecards: Scorecards, params: Params) -> Run:
    """One flat run; the model comes before its metrics, which MLflow would else copy to it a second time."""
    dataset = _test_split(card, scorecards)
    tags = terms.tags(card) | _lineage_tags(card, scorecards)
    with mlflow.start_run(experiment_id=experiment, run_name=card.variant, tags=tags) as run:
        mlflow.log_params(terms.params(card, params.variant(card.variant).options))
        model_id = models.log(card)
        mlflow.log_input(dataset, context="test", model=LoggedModelInput(model_id))
        mlflow.log_metrics(terms.metrics(card), dataset=dataset, model_id=model_id)
        companions.log(run.info.run_id, model_id, card, scorecards, load_decision(layout.DECISION), params)
        mlflow.log_dict(card.model_dump(mode="json"), "scorecard.json")
    return mlflow.get_run(run.info.run_id)


def _test_split(card: Scorecard, scorecards: Scorecards) -> MetaDataset:
    """What the figures were measured on, by digest; MLflow shows it whole, so it is kept short."""
    path = layout.split("test")
    place = dataset_source.of(path) or LocalArtifactDatasetSource(str(path.absolute()))
    name = f"{scorecards.data.get('source', 'data')}-test"
    return MetaDataset(place, name, card.lineage.data[:12])  # type: ignore[abstract] # as MLflow's own example does


def _lineage_tags(card: Scorecard, scorecards: Scorecards) -> dict[str, str]:
    """Which `dvc repro`, lock and commit led to the figures; unlike the run context's, the commit measured at."""
    found = {"pipeline": scorecards.pipeline, "dvc.lock": card.lineage.dvc_lock, "git.commit": card.lineage.git}
    return {name: value for name, value in found.items() if value}
