"""Sections `networks` and `finetuned`: the networks that variants are made from."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from octavo.project.params.section import Model, Seed, Threads

BUILT_IN = "octavo.training.networks"
"""The module of the networks that come with Octavo."""
BUILDER = re.compile(r"[A-Za-z_]\w*((\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)?")
NAME = re.compile(r"[a-z][a-z0-9_]*")
"""Of a network: it is a folder's name and a part of a stage's name."""


def _builder(name: str) -> str:
    if not BUILDER.fullmatch(name):
        raise ValueError("Input should be the name of a network that comes with Octavo, or module:function of your own")
    return name


class Fit(Model):
    """How long and how fast a network is trained."""

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    """Each is a row of the curve, and a point of its plots."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)]
    """Where train has fewer images, each epoch is one step on all of them."""
    learning_rate: Annotated[float, Field(ge=1e-9, le=1)] = 0.001
    """About what Adam changes a weight by at each step: 1e-9 is lost in float32, 1 is as large as weights are."""


class Network(Fit):
    """A float network that is built and trained here."""

    build: Annotated[str, AfterValidator(_builder)]
    """A builder's name, or `module:function` of your own."""
    seed: Seed = 0
    threads: Threads = 1
    """Part of the result: weights are byte-identical at the same thread count only."""

    @property
    def module(self) -> str:
        """The dotted name of the module that builds the network."""
        module, separator, _ = self.build.partition(":")
        return module if separator else BUILT_IN


class Finetuned(Fit):
    """A network that starts from another one's weights. It has the seed and the threads of the first."""

    parent: Annotated[str, Field(alias="from")]
    """The network that it starts from."""
    by: Literal["continue", "qat"]
    """Train on in float, or with fake quantization."""

    def equals_budget(self, other: "Finetuned") -> bool:
        """Whether both start from one network and are trained equally long and fast."""
        return all(getattr(self, field) == getattr(other, field) for field in ("parent", *Fit.model_fields))
