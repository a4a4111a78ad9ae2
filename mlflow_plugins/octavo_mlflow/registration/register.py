"""Bring MLflow up to date with the scorecards: one run, one model and one version per variant.

The local files are authoritative and MLflow shows them. The key is `tags.digest`. A second run therefore finds
everything in place and adds nothing, deleted entries are restored, and new figures get a new run and version: the
figures of a version never change. A variant is written in the order run, model, figures, version. The run gets the
status FINISHED only when it is complete, so what a killed process left behind is recognized and replaced.

A process that finds something to add takes the mutex and looks again, so that two processes do not add the same. The
first look needs no mutex. A verdict also depends on the policy and can change while the figures stay the same; then it
is updated in place. A DVC experiment asks "what if": it adds what is new, but does not change the verdicts of what is
registered. Aliases are left to `promotion`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project import paths
from octavo.project.params.params import Params
from octavo.promotion.decision import load_decision
from octavo_mlflow.flavors import logging
from octavo_mlflow.registration import artifacts, descriptions, runs, shared_view
from octavo_mlflow.registration.runs import Repro
from octavo_mlflow.registry import tags, versions
from octavo_mlflow.registry.audit_log import audit_run
from octavo_mlflow.registry.mutex import mutex
from octavo_mlflow.tracking import connection, run_context

WAIT = 120.0
"""Seconds to wait for other processes that are registering or promoting."""

Done = Literal["added", "judged anew"]


@dataclass(frozen=True)
class Registration:
    """What `register` did, by variant, and how to look at it."""

    added: list[str]
    judged_anew: list[str]
    """Variants with a changed verdict and nothing else new."""
    unchanged: list[str]
    left: list[str]
    """Those of `unchanged` that a DVC experiment judges differently. MLflow keeps their verdicts."""
    look: str
    refused: list[str] = field(default_factory=list)
    """Variants without a model. Nothing of them is registered."""

    def __str__(self) -> str:
        added, judged = ((f" ({', '.join(names)})" if names else "") for names in (self.added, self.judged_anew))
        anew = f"{len(self.judged_anew)} judged again{judged}, " if judged else ""
        done = f"{len(self.added)} added{added}, {anew}{len(self.unchanged)} unchanged"
        kept = (
            f" This experiment judges {', '.join(self.left)} differently; MLflow keeps their verdicts."
            if self.left
            else ""
        )
        if self.refused:
            done += f", {len(self.refused)} refused and left out ({', '.join(self.refused)})"
        return f"MLflow: {done}.{kept} To look: {self.look}"


def register(scorecards: Scorecards, params: Params) -> Registration:
    """Make MLflow show exactly these scorecards. `added` lists the variants for which it lacked something.

    Raises:
        ModelError: a local or stored model file differs from the one that was measured, or there is no decision.
        ParamsError: a scorecard's variant is not in `params.yaml`.
        ServiceUnavailable: the tracking store does not answer, or another process changes it for too long.
    """
    for card in scorecards.scorecards:
        params.variant(card.variant)
        logging.check_local(card.model)
    repro = Repro(scorecards, load_decision(paths.DECISION), params)
    with connection.connected() as client:
        lacking, otherwise = _compare(client, repro)
        to_do = lacking if run_context.experiment() else lacking + otherwise
        done = _add(client, to_do, repro) if to_do else {}
        experiment = connection.experiment(client, params.registry.experiment)
        look = connection.how_to_look(experiment, shared_view.share(client, experiment))
    by_done: dict[Done | None, list[str]] = {"added": [], "judged anew": [], None: []}
    for card in scorecards.scorecards:
        by_done[done.get(card.variant)].append(card.variant)
    left = [card.variant for card in otherwise] if run_context.experiment() else []
    refused = list(scorecards.refused)
    return Registration(by_done["added"], by_done["judged anew"], by_done[None], left, look, refused)


def _compare(client: MlflowClient, repro: Repro) -> tuple[list[Scorecard], list[Scorecard]]:
    """The scorecards that MLflow lacks, and those that it shows with another verdict. Changes nothing."""
    cards = repro.scorecards.scorecards
    experiment = client.get_experiment_by_name(repro.params.registry.experiment)
    if experiment is None or experiment.lifecycle_stage == LifecycleStage.DELETED:
        return cards, []
    shown = [(card, _shown(client, experiment.experiment_id, card, repro)) for card in cards]
    lacking = [card for card, found in shown if found is None]
    return lacking, [card for card, found in shown if found and not _agree(*found, tags.judged(card, repro.decision))]


def _shown(client: MlflowClient, experiment: str, card: Scorecard, repro: Repro) -> tuple[Run, ModelVersion] | None:
    """The run and the version of a scorecard, if both exist and are complete."""
    active, _ = runs.look(client, experiment, tags.digest(card))
    if len(active) != 1 or not runs.is_complete(client, active[0]):
        return None
    version = _version(client, repro.params.registry.model, active[0])
    return None if version is None else (active[0], version)


def _add(client: MlflowClient, cards: list[Scorecard], repro: Repro) -> dict[str, Done | None]:
    """Bring these variants up to date while holding the mutex. Returns what was done, by variant."""
    registry = repro.params.registry
    with mutex.held(client, registry.model, "register", WAIT) as still_held:
        experiment = connection.experiment(client, registry.experiment)
        _ensure_registered_model(client, registry.model, experiment)
        return {card.variant: _bring_up_to_date(client, experiment, card, repro, still_held) for card in cards}


def _ensure_registered_model(client: MlflowClient, name: str, experiment: str) -> None:
    """Create the registered model with a description. A description that somebody wrote is kept.

    The audit log's experiment is created first, so that both have the same owner. Otherwise the first user who promotes
    would own the log.
    """
    about = descriptions.of_model(name, experiment)
    try:
        if not client.get_registered_model(name).description:
            client.update_registered_model(name, about)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        audit_run.prepare(client, name)
        client.create_registered_model(name, description=about)


def _bring_up_to_date(
    client: MlflowClient, experiment: str, card: Scorecard, repro: Repro, still_held: Callable[[], None]
) -> Done | None:
    """Add what MLflow lacks of one variant, and return what was done."""
    still_held()
    complete, restored = runs.find(client, experiment, tags.digest(card))
    run = complete or runs.log(experiment, card, repro)
    judged = tags.judged(card, repro.decision)
    if complete and run_context.experiment():
        judged = {name: value for name, value in complete.data.tags.items() if name in judged}
    version = _version(client, repro.params.registry.model, run)
    added = version is None or restored
    if version is None:
        still_held()
        version = _create_version(client, card, repro, run, judged)
    if _agree(run, version, judged):
        return "added" if added else None
    for name, value in judged.items():
        client.set_tag(run.info.run_id, name, value)
        client.set_model_version_tag(version.name, version.version, name, value)
    artifacts.log_report(client, run.info.run_id)
    return "added" if added else "judged anew"


def _create_version(
    client: MlflowClient, card: Scorecard, repro: Repro, run: Run, judged: dict[str, str]
) -> ModelVersion:
    name, logged = repro.params.registry.model, str(runs.model_id(run))
    files = {tags.FOLDER: versions.logged_digest(client, logged)}
    return client.create_model_version(
        name,
        f"models:/{logged}",
        run.info.run_id,
        tags=tags.version_tags(card) | judged | files,
        description=descriptions.of_version(name, card, repro.scorecards, repro.decision, run),
        model_id=logged,
    )


def _version(client: MlflowClient, name: str, run: Run) -> ModelVersion | None:
    found = client.search_model_versions(f"name = '{name}' and run_id = '{run.info.run_id}'", max_results=1)
    return found[0] if found else None


def _agree(run: Run, version: ModelVersion, judged: dict[str, str]) -> bool:
    """Whether run and version both show this verdict."""
    return judged.items() <= run.data.tags.items() and judged.items() <= version.tags.items()
