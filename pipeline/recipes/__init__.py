"""The methods: one file each, one signature. A recipe turns one exported network into one model file.

A recipe module has `Options`, a pydantic model of what `params.yaml` may set under `options`, and

    quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None

where `exported` holds `model.onnx` and `saved_model/`, `samples` are the images to calibrate and to choose by, and
`target` is the file to write. Adding a method is adding one file here and one line in `params.yaml`.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from pipeline import remarks
from pipeline.errors import ModelError, ParamsError
from pipeline.params import faults
from pipeline.splits import Samples


class Recipe(Protocol):
    """What every recipe module offers."""

    Options: type[BaseModel]

    def quantize(self, exported: Path, target: Path, samples: Samples, options: Any) -> None: ...


def names() -> list[str]:
    """The recipes there are."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def load(name: str) -> Recipe:
    """The recipe called `name`; only its module is imported.

    Raises:
        ParamsError: no such recipe; the message lists the known ones.
    """
    if name not in names():
        raise ParamsError(f"Unknown recipe '{name}'. Known: {', '.join(names())}. Add pipeline/recipes/{name}.py.")
    recipe: Recipe = importlib.import_module(f"pipeline.recipes.{name}")
    return recipe


def quantize(name: str, exported: Path, target: Path, samples: Samples, options: Mapping[str, Any]) -> None:
    """Run the recipe called `name` with `options` as `params.yaml` gives them.

    Raises:
        ParamsError: no such recipe, or it does not know one of the options.
        ModelError: the network could not be made, or was too large for the recipe's format.
    """
    recipe = load(name)
    refusal = remarks.refusal(exported)
    if refusal:
        raise ModelError(f"There is no network to make it of. {refusal}")
    if name.startswith("litert") and not (exported / "saved_model").is_dir():
        raise ModelError(
            f"{exported} has no SavedModel for recipe '{name}': networks past 2 GB are too large for LiteRT. "
            "Remove its LiteRT variants."
        )
    try:
        checked = recipe.Options.model_validate(dict(options))
    except ValidationError as error:
        known = ", ".join(recipe.Options.model_fields) or "none"
        raise ParamsError(f"Options of recipe '{name}': {faults(error)}. It knows: {known}.") from None
    recipe.quantize(exported, target, samples, checked)
