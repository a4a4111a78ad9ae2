"""The methods: one file each, one signature. A recipe turns one exported network into one model file.

A recipe module has `Options`, a pydantic model of what `params.yaml` may set under `options`, and

    quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None

where `exported` holds `model.onnx` and `saved_model/`, `samples` are the images to calibrate and to choose by, and
`target` is the file to write. A recipe that needs what quantization-aware training learned says so with
`LEARNED = True`. Adding a method is adding one file here, in the folder of its format, and one line in `params.yaml`; a
user's own recipe is a module of theirs, and `params.yaml` has its dotted name. A folder's `__init__.py` may name in
`SMALL_IN_FLOAT` the recipes that make small files which compute in float: they are recommended where integers fail.

Whatever the recipe, its file is tried before it counts (`octavo.quantization.acceptance`), and what it raises refuses
its variant alone.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from octavo.backends import network_notes, registry
from octavo.backends.records import Acceptance
from octavo.data.splits import Samples
from octavo.project import foreign_code
from octavo.project.errors import ModelError, ParamsError
from octavo.project.params.params import PARAMS, Params
from octavo.project.params.section import faults
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
"""Names that recipes had before they took the grammar of variants -> their names now."""
REMAKE = "Change the variant in params.yaml, or take it out."


class Recipe(Protocol):
    """What every recipe module offers."""

    Options: type[BaseModel]

    def quantize(self, exported: Path, target: Path, samples: Samples, options: Any) -> None: ...


def names() -> list[str]:
    """The recipes there are."""
    return sorted(f"{path.parent.name}_{path.stem}" for folder in __path__ for path in Path(folder).glob("*/[!_]*.py"))


def load(name: str) -> Recipe:
    """The recipe called `name`; only its module is imported.

    Raises:
        ParamsError: no such recipe, and the message lists the known ones; or its module cannot be imported.
    """
    _require_known(name)
    module = name if _is_users(name) else f"{__name__}.{'.'.join(_parts(name))}"
    with foreign_code.code(f"Recipe '{name}' cannot be loaded", own=_file(name)):
        recipe: Recipe = importlib.import_module(module)
    if missing := [part for part in ("Options", "quantize") if not hasattr(recipe, part)]:
        raise ParamsError(f"Recipe '{name}' has no {' and no '.join(missing)}; every recipe has Options and quantize.")
    return recipe


def check(params: Params) -> None:
    """Hold what `params.yaml` asks for each variant to what its recipe knows, without quantizing anything.

    Raises:
        ParamsError: no such recipe, or it makes files of another format or of one that nothing here runs, needs another
            network, or refuses an option.
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
    """The options of a recipe, as `params.yaml` gives them, checked.

    Raises:
        ParamsError: the recipe does not know one of them, or not its value.
    """
    try:
        return recipe.Options.model_validate(dict(given))
    except ValidationError as error:
        known = ", ".join(recipe.Options.model_fields) or "none"
        raise ParamsError(f"Options of recipe '{name}': {faults(error)}. It knows: {known}.") from None


def quantize(name: str, exported: Path, target: Path, samples: Samples, given: Mapping[str, Any]) -> Acceptance:
    """Run the recipe called `name`, try its file, and put it in place with what the recipe wrote beside it.

    Args:
        name: of the recipe.
        exported: folder of the network, with `model.onnx` and, if it is not too large, `saved_model/`.
        target: the file to write. Where the file is refused, whatever lies there is left as it is.
        samples: what the recipe may look at, and the limit that its file is held to.
        given: the recipe's options, as `params.yaml` has them.

    Returns:
        How the file answered when it was tried.

    Raises:
        ParamsError: no such recipe, or it does not know one of the options.
        FileRefused: the recipe cannot make a file of this network, or its file is wrong.
        ModelError: the network is missing, or cannot be run.
    """
    recipe = load(name)
    checked = options(name, recipe, given)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=target.parent) as folder:
        made = Path(folder, target.name)
        _make(name, recipe, exported, made, samples, checked)
        remedy = _remedy(name, registry.format_of(target).name, checked)
        figures = acceptance.accept(made, exported / "model.onnx", samples, remedy)
        beside = sorted(path for path in made.parent.iterdir() if path != made)
        for path in (*beside, made):  # the model last: where it is, all of it is
            path.replace(target.with_name(path.name))
    return figures


def _make(name: str, recipe: Recipe, exported: Path, target: Path, samples: Samples, options: BaseModel) -> None:
    """Run the recipe; what it raises about this network refuses its variant. A recipe may be the user's own code."""
    reason = network_notes.refusal(exported)
    if reason:
        raise acceptance.refused("not made", f"There is no network to make it of. {reason}", REMAKE)
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
    """The file of a recipe in the folders where names are looked for: it may be the user's, too."""
    if _is_users(name):
        return None
    found = [Path(folder).joinpath(*_parts(name)).with_suffix(".py") for folder in __path__]
    return next((path for path in found if path.is_file()), found[0])


def _folder(form: str) -> ModuleType | None:
    """The package of the recipes that come with Octavo for a format; None where there are none."""
    return importlib.import_module(f"{__name__}.{form}") if form in map(_format, names()) else None


def _parts(name: str) -> tuple[str, str]:
    """Folder and module of a recipe: ("onnx", "int8_static") of `onnx_int8_static`."""
    form, _, module = name.partition("_")
    return form, module


def _format(name: str) -> str:
    return name.partition("_")[0]


def _remedy(name: str, form: str, options: BaseModel) -> str:
    """What to do where the answers of a file of that format are wrong."""
    floats = " or ".join(other for other in _small_in_float(form) if other != name)
    instead = f"ake a recipe that computes in float: {floats}." if floats else f"ake another recipe. {REMAKE}"
    if getattr(options, "repair", "") is None:
        return f"Set repair: {{}} in its options, which leaves in float what integers damage; or t{instead}"
    return f"T{instead}"


def _small_in_float(form: str) -> tuple[str, ...]:
    """What the folder of a format names as recipes that make small files which compute in float."""
    named: tuple[str, ...] = getattr(_folder(form), "SMALL_IN_FLOAT", ())
    return named


def _require_known(name: str) -> None:
    if name in FORMER:
        raise ParamsError(f"Recipe '{name}' is called '{FORMER[name]}' now. Write that instead.")
    if name not in names() and not _is_users(name):
        raise ParamsError(f"Unknown recipe '{name}'. Known: {', '.join(names())}.")


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
            f"Rename it {made}_…, or take another recipe."
        )


def _require_source(variant: str, recipe: Recipe, params: Params) -> None:
    asked = params.variants[variant]
    if getattr(recipe, "LEARNED", False) and not params.is_quantization_aware(asked.source):
        known = [name for name in params.finetuned if params.is_quantization_aware(name)]
        raise ParamsError(
            f"Recipe '{asked.recipe}' needs a quantization-aware network as source, got '{asked.source}'. "
            f"Known: {', '.join(known) or 'none'}. Add one to finetuned, by: qat."
        )
