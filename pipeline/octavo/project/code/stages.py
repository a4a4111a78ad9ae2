"""Write `artifacts/code.json`: the digest of each stage's code, and facts about networks that follow from the params.

Stages do not import networks and recipes by statement, but by their names in `params.yaml`. They are added here.
"""

import glob
import json
from itertools import chain
from pathlib import Path
from typing import Any

from octavo.project import paths
from octavo.project.code.digests import code_of
from octavo.project.errors import ParamsError
from octavo.project.files import atomic_write
from octavo.project.git.revision import digest
from octavo.project.params import inputs
from octavo.project.params.networks import Brought, Network
from octavo.project.params.params import PARAMS, Params
from octavo.project.params.variants import RECIPES

STAGES = "octavo_stages"
"""The package of the stages; DVC runs `python -m octavo_stages.<stage>`."""
WHOLE = ("evaluate", "benchmark", "report", "register")
"""Stages that run the same code for every item."""


def write(params: Params) -> None:
    """Write `artifacts/code.json` for the project in the working directory.

    Raises:
        ParamsError: the module of a network's builder or of a user's recipe does not exist, or a file is not valid
            Python.
    """
    atomic_write.write_text(paths.CODE, json.dumps(digests(params), indent=1) + "\n")


def digests(params: Params) -> dict[str, Any]:
    """The content of `artifacts/code.json`.

    - By stage: the digest of its code. If its items run different code, item -> digest.
    - `check`: also the missing files and folders that `params.yaml` names, so that the stage runs and names them.
    - `brought`: the digest of the section. Its own key would have to be in every `params.yaml`.
    - `beside`: brought network -> the digest of the files whose names begin with its file's name, its external data.
    - `needed`: network -> whether any variant needs it.
    - `built`: network -> builder, seed and threads of the network that it was built or fine-tuned from.
    - `control`: network -> the network that a quantization-aware one is compared with, or `none`.

    Raises:
        ParamsError: as `write`.
    """
    needed, known = params.needed(), params.sources
    built = {name: params.root(name) for name in (*params.networks, *params.finetuned)}
    recipes = {name: _recipe(name, params) for name in params.variants}
    builders = {name: _builders(name, params) for name in known}
    brought = {
        name: each.model_dump(mode="json", by_alias=True, exclude_none=True) for name, each in params.brought.items()
    }
    return {
        **{stage: code_of(f"{STAGES}.{stage}").digest() for stage in WHOLE},
        "prepare": code_of(f"{STAGES}.prepare", *_generator(params)).digest(),
        "check": code_of(f"{STAGES}.check", *chain(*recipes.values())).digest() + _without(params),
        "network": {name: code_of(f"{STAGES}.network", *builders[name]).digest() for name in params.networks},
        "finetune": {name: code_of(f"{STAGES}.finetune", *builders[name]).digest() for name in params.finetuned},
        "quantize": {name: code_of(f"{STAGES}.quantize", *recipes[name]).digest() for name in params.variants},
        "bring": {name: code_of(f"{STAGES}.bring", *builders[name]).digest() for name in params.brought},
        "brought": digest(brought),
        "beside": {name: _beside(each.file) for name, each in params.brought.items()},
        "needed": {name: name in needed for name in known},
        "built": {name: f"{_origin(each)}, seed {each.seed}, threads {each.threads}" for name, each in built.items()},
        "control": {name: params.control(name) or "none" for name in known},
    }


def _without(params: Params) -> str:
    """What is missing, as the end of a digest; nothing if all is there."""
    return "".join(f" without {key}" for key in inputs.missing(params))


def _origin(root: Network | Brought) -> str:
    """What decides where a fine-tuned network starts: a builder, or the content of a file."""
    if isinstance(root, Network):
        return root.build
    found = atomic_write.digest(root.file, "sha256") if root.file.is_file() else "no file"
    return f"{root.build} {root.file} {found}"


def _beside(file: Path) -> str:
    """A digest over names and contents of the files beside a network's file that belong to it; `none` if none do.

    A folder has all of its files inside, and DVC watches it.
    """
    if file.is_dir():
        return "none"
    found = sorted(path for path in file.parent.glob(f"{glob.escape(file.name)}?*") if path.is_file())
    return digest({path.name: atomic_write.digest(path, "sha256") for path in found}) if found else "none"


def _generator(params: Params) -> list[str]:
    """The module of the function that generates the data, if there is one."""
    data = params.data
    return [_known(data.module, f"data.generator is '{data.generator}'")] if data.module else []


def _builders(network: str, params: Params) -> list[str]:
    """The modules that build a network, or bring it in."""
    root = params.root(network)
    said = f"network '{network}' is {'' if isinstance(root, Brought) else 'built by '}'{root.origin}'"
    return [_known(module, said) for module in root.modules]


def _recipe(variant: str, params: Params) -> list[str]:
    """The module of a variant's recipe; none if Octavo's recipe cannot be read, which the stage `check` reports."""
    asked = params.variants[variant]
    try:
        return [_known(asked.module, f"variants.{variant}.recipe is '{asked.recipe}'")]
    except ParamsError:
        if asked.module.startswith(f"{RECIPES}."):
            return []
        raise


def _known(module: str, said: str) -> str:
    """The module, if its code can be read. `said` is where `params.yaml` names it, for the message."""
    try:
        code_of(module)
    except ParamsError as error:
        raise ParamsError(f"{PARAMS}: {said}. {error}") from None
    return module
