"""The methods: one file each, one signature. A recipe turns one exported network into one model file.

A recipe module has `Options`, a pydantic model of what `params.yaml` may set under `options`, and

    quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None

where `exported` holds `model.onnx` and `saved_model/`, `samples` are the images to calibrate and to choose by, and
`target` is the file to write. A recipe that works on some networks only names them in `SOURCES`. Adding a method is
adding one file here and one line in `params.yaml`.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from pipeline.errors import ModelError, ParamsError
from pipeline.params import NETWORKS, PARAMS, Variant, faults
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
    _require_known(name)
    recipe: Recipe = importlib.import_module(f"pipeline.recipes.{name}")
    return recipe


def check(variant: str, asked: Variant) -> None:
    """Hold what `params.yaml` asks for one variant to what its recipe knows, without quantizing anything.

    Raises:
        ParamsError: no such recipe, or it makes files of another format, needs another source, or refuses an option.
    """
    try:
        _require_known(asked.recipe)
        _require_format(variant, asked.recipe)
        recipe = load(asked.recipe)
        _require_source(asked, recipe)
        options(asked.recipe, recipe, asked.options)
    except ParamsError as error:
        raise ParamsError(f"{PARAMS}: variant '{variant}': {error}") from None


def options(name: str, recipe: Recipe, given: Mapping[str, Any]) -> BaseModel:
    """The options of a recipe, as `params.yaml` gives them, checked.

    Raises:
        ParamsError: the recipe does not know one of them, or not its value.
    """
    try:
        return recipe.Options.model_validate(dict(given))
    except ValidationError as error:
        known = ", ".join(recipe.Options.model_fields) or "none"
        raise ParamsError(f"Options of recipe '{name}': {faults(error)}. It knows: {known}.") from None


def quantize(name: str, exported: Path, target: Path, samples: Samples, given: Mapping[str, Any]) -> None:
    """Run the recipe called `name` with the options `given` as `params.yaml` gives them.

    Raises:
        ParamsError: no such recipe, or it does not know one of the options.
        ModelError: the network was too large for the recipe's format.
    """
    recipe = load(name)
    if name.startswith("litert") and not (exported / "saved_model").is_dir():
        raise ModelError(
            f"{exported} has no SavedModel for recipe '{name}': networks past 2 GB are too large for LiteRT. "
            "Remove its LiteRT variants."
        )
    recipe.quantize(exported, target, samples, options(name, recipe, given))


def _require_known(name: str) -> None:
    if name not in names():
        raise ParamsError(f"Unknown recipe '{name}'. Known: {', '.join(names())}. Add pipeline/recipes/{name}.py.")


def _require_format(variant: str, recipe: str) -> None:
    named, made = ("litert" if name.startswith("litert") else "onnx" for name in (variant, recipe))
    if named != made:
        raise ParamsError(
            f"Recipe '{recipe}' makes {made} files, and the variant's name says {named}. "
            f"Rename it {made}_…, or take another recipe."
        )


def _require_source(asked: Variant, recipe: Recipe) -> None:
    allowed = getattr(recipe, "SOURCES", NETWORKS)
    if asked.source not in allowed:
        raise ParamsError(f"Recipe '{asked.recipe}' needs source '{', '.join(allowed)}', got '{asked.source}'.")
