"""Sections `variants` and `benchmark`: what is made of the networks, and how it is timed."""

import re
from typing import Annotated, Any

from pydantic import Field, model_validator

from octavo.project.params.section import Model, Threads

MIN_SQNR_DB = 10.0
"""Default of `Variant.min_sqnr_db`: the noise has a tenth of the outputs' power."""
VARIANT_NAME = re.compile(r"(?P<format>[a-z]+)_(?P<precision>[a-z]+[0-9]+)(?:_(?P<method>[a-z0-9_]+))?")
"""`<format>_<precision>[_<method>]`, for example `onnx_fp32` or `litert_int8_static`.

Which formats there are is known where files are run: the stage `check` holds names to them.
"""
RECIPES = "octavo.quantization.recipes"
"""The package of the recipes that come with Octavo, a folder a format."""


class Variant(Model):
    """One model file: which network, by which recipe."""

    source: str
    """The network that it is made from."""
    recipe: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$|^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]
    """The name of a recipe that comes with Octavo, or the dotted name of a module of your own."""
    options: dict[str, Any] = {}
    min_sqnr_db: Annotated[float, Field(ge=-200, le=200)] = MIN_SQNR_DB
    """Signal-to-quantization-noise ratio of the outputs, in decibels, below which the file is refused."""

    @property
    def module(self) -> str:
        """The dotted name of the recipe's module."""
        return self.recipe if "." in self.recipe else f"{RECIPES}.{self.recipe.replace('_', '.', 1)}"


class Benchmark(Model):
    """How variants are timed."""

    batches: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = (1, 64)
    """Images at once; where the selection split has fewer, they are repeated. 4096 of 224 x 224 x 3 take 2.5 GB."""
    rounds: Annotated[int, Field(ge=10, le=10_000)] = 30
    """Each takes some 20 ms a variant and batch: 10,000 with ten variants are an hour."""
    threads: Threads = 1

    @model_validator(mode="after")
    def _single_images_are_timed(self) -> "Benchmark":
        if 1 not in self.batches:
            raise ValueError(f"batches are {list(self.batches)}, without 1, which the policy judges")
        if len(set(self.batches)) < len(self.batches):
            raise ValueError(f"batches are {list(self.batches)}, and can name each size once")
        return self
