"""The contract of a runtime: what Octavo asks of each format of model files, and of nothing else.

A runtime is one folder in `octavo.backends`. Its `__init__.py` has `FORMAT`, a `Format`, and imports no runtime; its
`backend.py` has `BACKEND`, a `Backend`, and is imported when a file of that format is asked for. `registry` finds both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octavo.backends.operators import Operator, Parameter
from octavo.backends.predictor import Predictor
from octavo.backends.records import Interface, Saturation
from octavo.onnx_graph.integer_ranges import StoredIntegers


def _one_file(_: Path) -> list[Path]:
    return []


@dataclass(frozen=True, kw_only=True)
class Format:
    """What is known of a format without its runtime."""

    name: str
    """As the names of variants and recipes begin with it: small letters, such as `onnx`."""
    title: str
    """As people write it, such as `ONNX`."""
    suffix: str
    """Of its files, such as `.onnx`."""
    libraries: tuple[str, ...]
    """What a file needs to run, as PyPI calls it."""
    usage: str = ""
    """A program that runs a file, for its model card: a Jinja template over the card, `file`, `example` and others."""
    beside: Callable[[Path], list[Path]] = _one_file
    """The files beside a model file that hold weights of it, be they there or not; by default none."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """How files of one format run, and what is in them. Every function raises `ModelError` for a file it cannot read.

    What a runtime cannot tell is None here: it is shown as not measured.
    """

    open_model: Callable[[Path, int], Predictor]
    """A predictor on so many threads. Latency is measured on it, by the same method for every format."""
    interface: Callable[[Path], Interface]
    """How the file is called."""
    parameters: Callable[[Path], list[Parameter]]
    """What it stores, counted as `operators` says."""
    operators: Callable[[Path, np.ndarray | None], list[Operator]]
    """What will run, and what it costs for one image; images as the file takes them, where its size is free."""
    output_step: Callable[[Path], float | None]
    """The scale of the integers that the outputs are; None where they are float from the start."""
    stored_integers: Callable[[Path], StoredIntegers]
    """The weights that it stores as 8-bit integers, and how many of its biases their range has cut off."""
    failures: tuple[type[Exception], ...] = (ValueError, RuntimeError)
    """What a run raises for images that the model cannot take."""
    layer_sqnr: Callable[[Path, Path, np.ndarray, np.ndarray], dict[str, float]] | None = None
    """Of the file and the exported network, both on the same images, as stored and as the file takes them: the SQNR
    of what each layer gives, in decibels."""
    keeps_layers: bool = False
    """Whether the file says which of its values is which layer's. Layers that are told by likely names can say where a
    refused file goes wrong, and are not shown in scorecards."""
    saturation: Callable[[Path, np.ndarray], list[Saturation]] | None = None
    """Layers whose sums some CPUs cut off, on images as the file takes them; None where no kernel adds in 16 bits."""
