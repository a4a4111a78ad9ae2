"""Sections `variants` and `benchmark`: the model files to make, and how their latency is measured."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from octavo.project.params.section import Model, Threads

MIN_SQNR_DB = 10.0
"""Default of `Variant.min_sqnr_db`: the noise has one tenth of the power of the outputs."""
VARIANT_NAME = re.compile(r"(?P<format>[a-z]+)_(?P<precision>[a-z]+[0-9]+)(?:_(?P<method>[a-z0-9_]+))?")
"""`<format>_<precision>[_<method>]`, for example `onnx_fp32` or `litert_int8_static`.

The backends know which formats exist. The stage `check` compares names with them.
"""
CONVERTED = "_tensorflow"
"""Ends the names of recipes that run TensorFlow's converter, and of their variants. It needs the network's SavedModel,
which a network that was brought as ONNX does not have."""
RECIPE = re.compile(r"[a-z][a-z0-9_]*|[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
RECIPES = "octavo.quantization.recipes"
"""The package of Octavo's own recipes, with one folder per format."""


def module_of(recipe: str) -> str:
    """The dotted name of a recipe's module. A user's own recipe is named by it; Octavo's have plain names."""
    return recipe if "." in recipe else f"{RECIPES}.{recipe.replace('_', '.', 1)}"


def _recipe(name: str) -> str:
    if not RECIPE.fullmatch(name):
        raise ValueError("Input should be the name of a recipe, such as onnx_int8_static, or my_package.my_recipe")
    return name


class Variant(Model):
    """One model file: the network that it is made from, and the recipe."""

    source: str
    """Name of the network."""
    recipe: Annotated[str, AfterValidator(_recipe)]
    """Name of one of Octavo's recipes, or the dotted name of your own module."""
    options: dict[str, Any] = {}
    min_sqnr_db: Annotated[float, Field(ge=-200, le=200)] = MIN_SQNR_DB
    """Smallest signal-to-quantization-noise ratio of the outputs, in decibels. A file below it is refused."""

    @property
    def module(self) -> str:
        """The dotted name of the recipe's module."""
        return module_of(self.recipe)


class Benchmark(Model):
    """How latency is measured."""

    batches: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = (1, 64)
    """Batch sizes. A small selection split is repeated to fill a batch. 4096 images of 224 x 224 x 3 take 2.5 GB."""
    rounds: Annotated[int, Field(ge=10, le=10_000)] = 30
    """One round takes about 20 ms per variant and batch size. 10,000 rounds of ten variants take about an hour."""
    threads: Threads = 1

    @model_validator(mode="after")
    def _single_images_are_timed(self) -> "Benchmark":
        if 1 not in self.batches:
            raise ValueError(f"batches are {list(self.batches)}, but must include 1, which the policy judges")
        if len(set(self.batches)) < len(self.batches):
            raise ValueError(f"batches are {list(self.batches)}, but each size is allowed only once")
        return self
