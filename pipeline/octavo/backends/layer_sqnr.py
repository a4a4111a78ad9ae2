"""Signal-to-quantization-noise ratio of each layer of a model file, relative to its source network."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx

from octavo.backends import registry
from octavo.backends.records import Jump
from octavo.onnx_graph import canonicalize

IMAGES = 64
"""Number of images. This many are enough, and each of them passes through every layer."""

ORDINARY_DB = 40.0
"""Usual SQNR of 8-bit values. A layer above it counts as 40 dB in the search for a jump."""
JUMP_DB = 10.0
"""Ten times the noise power."""


def measure(path: Path, network: Path, images: np.ndarray, fed: np.ndarray) -> dict[str, float]:
    """Signal-to-quantization-noise ratio of each layer's output, in decibels, in the order in which the layers run.

    Args:
        path: a model file. The result is empty if its format does not keep the layers' names.
        network: its source, an exported ONNX network. A quantization-aware network runs with its fake quantization.
        images: uint8 or float32 (N, H, W[, C]), as stored in a split; the first 64 are used.
        fed: the same images in the model file's input encoding.

    Raises:
        ModelError: the format is unknown, or one of the two files cannot be read.
    """
    return likely(path, network, images, fed) if registry.backend_of(path).keeps_layers else {}


def likely(path: Path, network: Path, images: np.ndarray, fed: np.ndarray) -> dict[str, float]:
    """As `measure`, but also for formats whose layers are only guessed from names.

    Args:
        path: a model file. The result is empty if its format has no layers.
        network: as for `measure`.
        images: as for `measure`.
        fed: as for `measure`.

    Raises:
        ModelError: as `measure`.
    """
    layers = registry.backend_of(path).layer_sqnr
    return {} if layers is None else layers(path, network, images[:IMAGES], fed[:IMAGES])


def jump(network: Path, sqnr_db: Mapping[str, float]) -> Jump | None:
    """The first layer at which the error jumps, or None if it grows gradually.

    The error jumps at a layer whose SQNR is at least 10 dB below that of the noisiest layer that it reads. That layer
    counts as 40 dB if it is above 40 dB, and so do the images.

    Args:
        network: the exported ONNX network.
        sqnr_db: the result of `measure`.

    Raises:
        ModelError: the network cannot be read.
    """
    reads = _reads(canonicalize.load(network), sqnr_db.keys()) if sqnr_db else {}
    for layer, ratio in sqnr_db.items():
        before = min((sqnr_db[other] for other in reads.get(layer, ())), default=200.0)
        if ratio <= min(before, ORDINARY_DB) - JUMP_DB:
            return Jump(layer=layer, sqnr_db=ratio, before_db=before)
    return None


def _reads(model: onnx.ModelProto, layers: Collection[str]) -> dict[str, set[str]]:
    """Layer -> the nearest of `layers` that it reads, directly or through other layers."""
    behind: dict[str, set[str]] = {}
    found: dict[str, set[str]] = defaultdict(set)
    for node in model.graph.node:
        before = set[str]().union(*(behind.get(name, set()) for name in node.input))
        before.discard(node.doc_string)
        own = node.doc_string in layers
        found[node.doc_string] |= before
        for output in node.output:
            behind[output] = {node.doc_string} if own else before
    return found
