"""A network's configuration may name Keras' own layers, and nothing that runs or reads something else."""

import json
from pathlib import Path
from typing import Any

import pytest

from octavo.project.errors import ModelError
from octavo.training.keras_files import configuration

FILE = Path("net.keras")


def network(*layers: dict[str, Any]) -> str:
    return json.dumps({"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}})


def called(function: str) -> dict[str, Any]:
    return {"class_name": "TFOpLambda", "config": {"name": "called", "function": function}}


def layer(kind: str, module: str | None = "keras.layers", /, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": config}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "bytes of a function": (layer("Lambda", None, name="twice", function=["4wEA"]), "Lambda layer 'twice'"),
    "bytes as an argument": (layer("Dense", activation=layer("__lambda__", None, code="4wEA")), "Lambda"),
    "a module of Python": (layer("system", "os"), "system of the module os"),
    "a module of the user's": (layer("Twice", "mine"), "Twice of the module mine"),
    "a function that downloads": (layer("get_file", "keras.utils"), "get_file of the module keras.utils"),
    "a module that begins like one": (layer("Dense", "keras.layersx"), "keras.layersx"),
    "an inner module": (layer("load_model", "keras.src.saving.saving_lib"), "keras.src.saving"),
    "a function of Python": (layer("function", "builtins", name="eval"), "function eval"),
    "a class of Python": (layer("exec", "builtins"), "exec of the module builtins"),
    "a SavedModel as a layer": (layer("TFSMLayer", filepath="/x"), "TFSMLayer"),
    "a vocabulary in a file": (layer("StringLookup", vocabulary="/etc/passwd"), "StringLookup"),
    "a function that writes": (called("io.write_file"), "io.write_file"),
    "a function with Python in it": (called("py_function"), "py_function"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_runs_or_reads_something_else_is_refused_by_name(kind: str) -> None:
    hostile, named = REFUSED[kind]
    for content in (network(hostile), network(layer("TimeDistributed", None, layer=hostile))):
        with pytest.raises(ModelError, match=named):
            configuration.parsed(content, FILE)


@pytest.mark.parametrize("function", ["math.add", "nn.relu", "__operators__.getitem", "reshape"])
def test_functions_that_compute_are_let_through(function: str) -> None:
    assert configuration.parsed(network(called(function)), FILE)["class_name"] == "Sequential"


def test_what_was_only_for_training_does_not_matter() -> None:
    found = json.loads(network())
    found["compile_config"] = {"loss": {"module": "mine", "class_name": "MyLoss", "config": {}}}
    assert configuration.parsed(json.dumps(found), FILE)


@pytest.mark.parametrize("content", ["{", "[]", "3", "[" * 100_000, '{"class_name": "Sequential"}', ""])
def test_what_is_no_configuration_is_said(content: str) -> None:
    with pytest.raises(ModelError, match=r"configuration in net\.keras"):
        configuration.parsed(content, FILE)
