"""The contract of a runtime: everything that Octavo needs for one format of model files.

A runtime is one folder in `octavo.backends`. Its `__init__.py` defines `FORMAT`, a `Format`, and does not import the
runtime's library. Its `backend.py` defines `BACKEND`, a `Backend`, and is imported when a file of that format is used.
`registry` finds both.
"""

from collections.abc import Callable, Mapping
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
    """What is known about a format without importing its runtime."""

    name: str
    """Prefix of the names of variants and recipes, in lower case, such as `onnx`."""
    title: str
    """The name for people, such as `ONNX`."""
    suffix: str
    """Suffix of the files, such as `.onnx`."""
    libraries: tuple[str, ...]
    """PyPI names of the libraries that running a file needs."""
    usage: str = ""
    """A program that runs a file, for the model card: a Jinja template with `card`, `file`, `example` and others."""
    beside: Callable[[Path], list[Path]] = _one_file
    """The other files that hold weights of a model file, whether or not they exist; by default none."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Functions that run and inspect files of one format. Each raises `ModelError` if it cannot read the file.

    An optional function is None if the runtime cannot measure that figure. The figure is then shown as not measured.
    """

    open_model: Callable[[Path, int], Predictor]
    """File, number of threads -> predictor. Latency is measured on it, by the same method for every format."""
    interface: Callable[[Path], Interface]
    """File -> its inputs and outputs."""
    parameters: Callable[[Path], list[Parameter]]
    """File -> the parameters that it stores, as `operators` defines them."""
    operators: Callable[[Path, np.ndarray | None], list[Operator]]
    """File, images -> the operators that will run, with their cost for one image. The images are in the file's input
    encoding. They are needed only if the file accepts images of any size."""
    output_step: Callable[[Path], float | None]
    """File -> the scale of its outputs if they come from integers; None if they are computed in float."""
    stored_integers: Callable[[Path], StoredIntegers]
    """File -> the weights that it stores as 8-bit integers, the number of its biases that are clipped, and the scales
    that it fixes for integers that it computes."""
    failures: tuple[type[Exception], ...] = (ValueError, RuntimeError)
    """Exceptions that a run raises for images that do not fit the model."""
    layer_sqnr: Callable[[Path, Path, np.ndarray, np.ndarray], dict[str, float]] | None = None
    """File, exported network, stored images, the same images in the file's input encoding -> SQNR of each layer's
    output in decibels."""
    keeps_layers: bool = False
    """Whether the file records which value belongs to which layer. If layers are only guessed from names, they help to
    locate the error of a refused file, but scorecards do not show them."""
    saturation: Callable[[Path, np.ndarray], list[Saturation]] | None = None
    """File, images in its input encoding -> layers whose sums saturate on some CPUs; None if no kernel adds in
    16 bits."""
    kernels: Callable[[Path, np.ndarray], str] | None = None
    """File, images in its input encoding -> name of the kernels that compute it. None if they have no name."""
    other_kernels: Callable[[Path, np.ndarray], Mapping[str, np.ndarray | str]] | None = None
    """File, images in its input encoding -> name of other kernels that can compute it -> their outputs, float32
    (N, ...), or the reason why there are none. None if the runtime has one set only."""
