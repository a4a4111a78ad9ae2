"""Recipes: the quantization methods, one per file. A recipe turns one exported network into one model file.

A recipe module has `Options`, a pydantic model of the keys that `params.yaml` may set under `options`, and

    quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None

- `exported`: the folder with `model.onnx` and `saved_model/`.
- `target`: the file to write.
- `samples`: calibration images, and selection images to choose between alternatives.

A recipe that needs a quantization-aware network sets `LEARNED = True`. One whose files must be closer to their network
than others sets `LEAST_SQNR_DB`, in place of the default of `min_sqnr_db`. To add a recipe, add one file here, in the
folder of its format, and one line in `params.yaml`. A user's own recipe is a module of the user's; `params.yaml` gives
its dotted name. The `__init__.py` of a folder may list in `SMALL_IN_FLOAT` the recipes that make small files that
compute in float. Octavo recommends these when a file in integers is refused.

Every file is tested before it is accepted (`octavo.quantization.acceptance`). If a recipe raises an error, only its
variant is refused.
"""

import importlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from octavo.backends import network_notes, registry
from octavo.backends.records import Acceptance
from octavo.data.splits import Samples
from octavo.project import foreign_code
from octavo.project.errors import ModelError, ParamsError, known_are
from octavo.project.params.networks import WITH_TENSORFLOW
from octavo.project.params.params import PARAMS, Params
from octavo.project.params.section import faults
from octavo.project.params.variants import CONVERTED, MIN_SQNR_DB, module_of
from octavo.quantization import acceptance

FORMER = {
    "onnx": "onnx_fp32",
    "dynamic_int8": "onnx_int8_dynamic",
    "qat_int8": "onnx_int8_qat",
    "static_int8": "onnx_int8_static",
    "weight_only_int8": "onnx_int8_weight_only",
    "litert": "litert_fp32",
    "litert_dynamic_int8": "litert_int8_dynamic",
    "litert_qat_int8": "litert_int8_qat",
    "litert_static_int8": "litert_int8_static",
}
"""Former names of recipes -> present names."""
REMAKE = "Change the variant in params.yaml, or remove it."


class Recipe(Protocol):
    """The interface of a recipe module."""

    Options: type[BaseModel]

    def quantize(self, exported: Path, target: Path, samples: Samples, options: Any) -> None:
        """Write the model file.

        Args:
            exported: folder with `model.onnx` and, if the network is not too large, `saved_model/`.
            target: the file to write. Other files of the variant may be written next to it.
            samples: calibration images (N, H, W[, C]), uint8 or scaled float32, and the selection split.
            options: an instance of `Options`.

        Raises:
            ModelError: no file can be made from this network.
        """


def names() -> list[str]:
    """The recipes that come with Octavo, as `params.yaml` names them, sorted."""
    return sorted(f"{path.parent.name}_{path.stem}" for folder in __path__ for path in Path(folder).glob("*/[!_]*.py"))


def load(name: str) -> Recipe:
    """The recipe called `name`. No other recipe is imported.

    Raises:
        ParamsError: the recipe is unknown (the message lists the known ones), its module cannot be imported, or it
            lacks `Options` or `quantize`.
    """
    _require_known(name)
    with foreign_code.code(f"Recipe '{name}' cannot be loaded", own=_file(name)):
        recipe: Recipe = importlib.import_module(module_of(name))
    if missing := [part for part in ("Options", "quantize") if not hasattr(recipe, part)]:
        raise ParamsError(f"Recipe '{name}' has no {' and no '.join(missing)}; every recipe has Options and quantize.")
    return recipe


def check(params: Params) -> None:
    """Check that the recipe of each variant exists and accepts its network and options. Nothing is quantized.

    Raises:
        ParamsError: a recipe is unknown, writes another format than the variant's name says, needs another network, or
            refuses an option; or no backend runs the format.
    """
    for name in params.variants:
        _check(name, params)


def _check(name: str, params: Params) -> None:
    asked = params.variants[name]
    try:
        _require_known(asked.recipe)
        _require_format(name, asked.recipe)
        recipe = load(asked.recipe)
        _require_source(name, recipe, params)
        options(asked.recipe, recipe, asked.options)
    except ParamsError as error:
        raise ParamsError(f"{PARAMS}: variant '{name}': {error}") from None


def options(name: str, recipe: Recipe, given: Mapping[str, Any]) -> BaseModel:
    """Check a recipe's options and fill in the defaults.

    Args:
        name: of the recipe, for the message.
        recipe: the recipe module.
        given: the options as `params.yaml` gives them.

    Raises:
        ParamsError: the recipe does not know an option, or the value is not allowed.
    """
    try:
        return recipe.Options.model_validate(dict(given))
    except ValidationError as error:
        raise ParamsError(f"Recipe '{name}': {faults(error, 'options')}.") from None


def quantize(name: str, exported: Path, target: Path, samples: Samples, given: Mapping[str, Any]) -> Acceptance:
    """Run the recipe called `name`, test its file, and move the file and the recipe's other files into place.

    Args:
        name: of the recipe.
        exported: folder of the network, with `model.onnx` and, if it is not too large, `saved_model/`.
        target: the file to write. If the new file is refused, an old file at this path stays unchanged.
        samples: the images that the recipe may use, and the lowest accepted SQNR.
        given: the recipe's options, as `params.yaml` gives them.

    Returns:
        The results of the test.

    Raises:
        ParamsError: there is no such recipe, or it does not know one of the options.
        FileRefused: the recipe cannot make a file from this network, or its file is wrong.
        ModelError: the network is missing or cannot be run.
    """
    recipe = load(name)
    checked = options(name, recipe, given)
    if samples.min_sqnr_db == MIN_SQNR_DB:  # the user asks for none
        samples = replace(samples, min_sqnr_db=getattr(recipe, "LEAST_SQNR_DB", MIN_SQNR_DB))
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=target.parent) as folder:
        made = Path(folder, target.name)
        _make(name, recipe, exported, made, samples, checked)
        remedy = _remedy(name, registry.format_of(target).name, checked)
        figures = acceptance.accept(made, exported / "model.onnx", samples, remedy)
        beside = sorted(path for path in made.parent.iterdir() if path != made)
        for path in (*beside, made):  # the model last: if it is there, all its files are
            path.replace(target.with_name(path.name))
    return figures


def _make(name: str, recipe: Recipe, exported: Path, target: Path, samples: Samples, options: BaseModel) -> None:
    """Run the recipe, which may be the user's own code. If it raises an error, the variant is refused."""
    reason = network_notes.refusal(exported)
    if reason:
        raise acceptance.refused("not made", f"The network that it is made from was refused. {reason}", REMAKE)
    try:
        with foreign_code.code(f"Recipe '{name}' fails", ModelError, own=_file(name)):
            recipe.quantize(exported, target, samples, options)
    except ModelError as error:
        if not (exported / "model.onnx").is_file():
            raise ModelError(f"No {exported / 'model.onnx'}. Run dvc repro.") from None
        raise acceptance.refused("not made", str(error), REMAKE) from None
    if not target.is_file():
        raise acceptance.refused("not made", f"Recipe '{name}' wrote no file.", REMAKE)


def _is_users(name: str) -> bool:
    return "." in name


def _file(name: str) -> Path | None:
    """The file of a recipe that is known by a plain name. A user may have added it to these folders."""
    if _is_users(name):
        return None
    found = [Path(folder).joinpath(*name.split("_", 1)).with_suffix(".py") for folder in __path__]
    return next((path for path in found if path.is_file()), found[0])


def _folder(form: str) -> ModuleType | None:
    """The package with Octavo's recipes for a format; None if there are none."""
    return importlib.import_module(f"{__name__}.{form}") if form in map(_format, names()) else None


def _format(name: str) -> str:
    return name.partition("_")[0]


def _remedy(name: str, form: str, options: BaseModel) -> str:
    """The next step for the user if a file of that format has wrong outputs."""
    floats = " or ".join(other for other in _small_in_float(form) if other != name)
    instead = f"ake a recipe that computes in float: {floats}." if floats else f"ake another recipe. {REMAKE}"
    if getattr(options, "repair", "") is None:
        return f"Set repair: {{}} in its options, which leaves in float the layers that integers damage; or t{instead}"
    return f"T{instead}"


def _small_in_float(form: str) -> tuple[str, ...]:
    """Recipes of a format that make small files that compute in float, as its folder lists them."""
    named: tuple[str, ...] = getattr(_folder(form), "SMALL_IN_FLOAT", ())
    return named


def _require_known(name: str) -> None:
    if name in FORMER:
        raise ParamsError(f"Recipe '{name}' is called '{FORMER[name]}' now. Write that instead.")
    if name not in names() and not _is_users(name):
        raise ParamsError(f"Unknown recipe '{name}'.{known_are(name, names())}.")


def _require_format(variant: str, recipe: str) -> None:
    named, made = _format(variant), _format(recipe)
    if named not in registry.formats():
        raise ParamsError(
            f"The variant's name says {named}, which no backend runs. Known formats: {', '.join(registry.formats())}."
        )
    if _is_users(recipe):
        return
    if named != made:
        raise ParamsError(
            f"Recipe '{recipe}' makes {made} files, and the variant's name says {named}. "
            f"Rename the variant to {made}_…, or use another recipe."
        )


def _require_source(variant: str, recipe: Recipe, params: Params) -> None:
    asked = params.variants[variant]
    if network := params.brought.get(asked.source):
        if asked.recipe.endswith(CONVERTED) and network.path and network.module not in WITH_TENSORFLOW:
            raise ParamsError(
                f"Recipe '{asked.recipe}' needs a network that is built here, or brought as a Keras file or a "
                f"SavedModel, and '{asked.source}' is {network.path}. Use {asked.recipe.removesuffix(CONVERTED)}."
            )
        return  # only its file says whether it was trained with fake quantization
    if getattr(recipe, "LEARNED", False) and not params.is_quantization_aware(asked.source):
        known = [name for name in params.finetuned if params.is_quantization_aware(name)]
        raise ParamsError(
            f"Recipe '{asked.recipe}' needs a quantization-aware network as source, got '{asked.source}'. "
            f"Known: {', '.join(known) or 'none'}. Add one to finetuned, by: qat."
        )
