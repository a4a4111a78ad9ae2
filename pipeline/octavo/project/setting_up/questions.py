"""The four questions of `octavo init`. The command line can answer each of them in advance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from octavo.project.cli import typed_text
from octavo.project.errors import OctavoError, ParamsError, did_you_mean
from octavo.project.params.networks import BUILT_IN_NAMES
from octavo.project.params.registry import Registry
from octavo.project.params.section import faults
from octavo.project.setting_up import given_data, given_model

FORMATS, BOTH = ("onnx", "litert"), "both"


@dataclass(frozen=True)
class Question:
    """What to ask, the answer where nothing is typed, and how an answer is read. `read` raises an `OctavoError`."""

    text: str
    default: str
    read: Callable[[str], Any]


def answers(given: Mapping[str, str | None], ask: bool, project: Path, root: Path) -> dict[str, Any]:
    """The answers by name: `data`, `model`, `format` and `name`.

    Args:
        given: answers of the command line; None for what it does not say.
        ask: whether to ask the user for those. Otherwise the defaults count.
        project: folder of the new project.
        root: of the repository.

    Raises:
        ParamsError: an answer of the command line is wrong, or the input ends before the last answer.
    """
    questions = {
        "data": Question(
            "1/4 Your data: an .npz archive, a folder with a folder of images per class, a .csv or .parquet table, or "
            f"{', '.join(given_data.BUNDLED)}",
            "digits",
            lambda answer: given_data.section(answer, project, root),
        ),
        "model": Question(
            f"2/4 Your network: {', '.join(BUILT_IN_NAMES)}, module:function of your own, or a file in "
            f"{', '.join(given_model.SUFFIXES)}",
            "small_cnn",
            lambda answer: given_model.section(answer, project, root),
        ),
        "format": Question("3/4 Formats of the model files: onnx, litert or both", "both", _formats),
        "name": Question("4/4 Name of the model in MLflow's registry", project.name, _name),
    }
    return {
        name: question.read(answer)
        if (answer := given.get(name)) is not None
        else (_asked(question) if ask else question.read(question.default))
        for name, question in questions.items()
    }


def _asked(question: Question) -> Any:
    """Ask until the answer is allowed.

    Raises:
        ParamsError: the input ends.
    """
    while True:
        try:
            answer = click.prompt(question.text, default=question.default, err=True)
            return question.read(typed_text.check(answer, "The answer"))
        except OctavoError as error:
            click.echo(f"octavo: {error}", err=True)
        except click.Abort as stop:
            if isinstance(stop.__context__, EOFError):
                raise ParamsError(
                    "The input ended before all questions were answered. Nothing was written. To be asked nothing: "
                    "octavo init --yes."
                ) from None
            raise


def _formats(word: str) -> tuple[str, ...]:
    known = (*FORMATS, BOTH)
    if word not in known:
        raise ParamsError(f"Unknown format '{word}'.{did_you_mean(word, known)} Known: {', '.join(known)}.")
    return FORMATS if word == BOTH else (word,)


def _name(name: str) -> str:
    try:
        return Registry(experiment=name, model=name).model
    except ValidationError as error:
        raise ParamsError(f"{faults(error)}. Give another name, or --name.") from None
