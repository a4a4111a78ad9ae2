"""Register what `octavo quantize --register` made: one run, one logged model and one version for each variant.

There is no project, so there is no policy to promote by and nothing to keep up to date: each run of the command adds
versions. The tag `octavo.recommended` marks the one to ship. The registered model is called like the folder of the
results.
"""

from pathlib import Path
from typing import Any

import mlflow
from pydantic import ValidationError

from octavo.evaluation.scorecard import Scorecard, Scorecards, load_scorecards
from octavo.project import story
from octavo.project.errors import ParamsError
from octavo.project.params.registry import Registry
from octavo.promotion.decision import Decision, load_decision
from octavo.reporting.documents import statements
from octavo_mlflow.flavors import logging
from octavo_mlflow.registration import shared_view
from octavo_mlflow.registry import tags
from octavo_mlflow.tracking import connection

MADE = "octavo.quantize"
"""Tag of a registered model that this command made."""
RECOMMENDED = "octavo.recommended"
"""Tag of the run and the version to ship: why, in one or two sentences."""
LABELLED = ("accuracy", "accuracy_delta")
"""Figures that need labels."""
RECORDS = ("report.html", "scorecards.json", "decision.json")
PROGRAMS = ("run.py", "run.cpp")


def check(name: str) -> None:
    """Check, before anything is made, that MLflow answers and that the results can be registered there.

    Args:
        name: of the registered model.

    Raises:
        ParamsError: MLflow allows no such name, or has a model of this name that this command did not make.
        ServiceUnavailable: the tracking store does not answer.
    """
    try:
        Registry(experiment=name, model=name)
    except ValidationError:
        raise ParamsError(
            f"--register names the model like the folder of the results, '{name}', and MLflow allows no : and ' there, "
            "and at most 200 characters. Give another --out."
        ) from None
    with connection.connected() as client:
        if (found := connection.registered_model(client, name)) is not None and MADE not in found.tags:
            raise ParamsError(
                f"MLflow has a registered model {name} that octavo quantize did not make. --register names it like the "
                "folder of the results: give another --out."
            )


def register(folder: Path, ship: str, why: str) -> None:
    """Log and register all variants in `folder`, and say where they are.

    Args:
        folder: the results, as `octavo quantize` writes them.
        ship: the variant that is recommended.
        why: the reason, as sentences.

    Raises:
        ModelError: MLflow does not hold the bytes that were measured.
        ServiceUnavailable: the tracking store does not answer.
    """
    cards, decision = load_scorecards(folder / "scorecards.json"), load_decision(folder / "decision.json")
    name, numbers = folder.absolute().name, {}
    with connection.connected() as client:
        experiment = connection.experiment(client, name)
        if connection.registered_model(client, name) is None:
            client.create_registered_model(name, {MADE: "yes"}, _about(cards, folder))
        for card in cards.scorecards:
            marks = {RECOMMENDED: why} if card.variant == ship else {}
            run_id, logged = _log(experiment, folder, card, decision, marks)
            version = client.create_model_version(
                name,
                f"models:/{logged}",
                run_id,
                tags=tags.tags(card) | _figures(card, decision, str) | tags.judged(card, decision) | marks,
                description=" ".join([statements.summary(card, cards), *card.notes, *marks.values()]),
                model_id=logged,
            )
            numbers[card.variant] = version.version
        look = connection.how_to_look(experiment, shared_view.share(client, experiment))
    listed = ", ".join(f"{variant} is version {number}" for variant, number in numbers.items())
    story.say(
        f"MLflow: in the registered model {name}, {listed}. Recommended: version {numbers[ship]}, {ship}. "
        f"To look: {look}"
    )


def _log(experiment: str, folder: Path, card: Scorecard, decision: Decision, marks: dict[str, str]) -> tuple[str, str]:
    """Log one run, and return its id and that of its model.

    Args:
        experiment: its id.
        folder: the results.
        card: of the variant.
        decision: of the gate.
        marks: further tags.
    """
    file = folder / card.model.path
    with mlflow.start_run(
        experiment_id=experiment, run_name=card.variant, tags=tags.tags(card) | tags.judged(card, decision) | marks
    ) as run:
        mlflow.log_params(tags.params(card, {}))
        logged = logging.log(card.model_copy(update={"model": card.model.model_copy(update={"path": str(file)})}))
        mlflow.log_metrics(_figures(card, decision, float), model_id=logged)
        mlflow.log_dict(card.model_dump(mode="json"), "scorecard.json")
        for path in (*(folder / record for record in RECORDS), *(file.with_name(program) for program in PROGRAMS)):
            mlflow.log_artifact(str(path))
    return run.info.run_id, logged


def _figures(card: Scorecard, decision: Decision, kind: type[Any]) -> dict[str, Any]:
    """The figures as numbers or texts. Without labels there is no accuracy."""
    unknown = () if decision.labelled else LABELLED
    return {name: kind(value) for name, value in tags.metrics(card).items() if name not in unknown}


def _about(cards: Scorecards, folder: Path) -> str:
    return (
        f"A classifier of {len(cards.classes)} classes in several forms, float and INT8, made and measured by `octavo "
        f"quantize` in {folder}. Each run of the command adds its versions. The tag `{RECOMMENDED}` says which one to "
        "ship, and why. Load one with `mlflow.pyfunc.load_model`."
    )
