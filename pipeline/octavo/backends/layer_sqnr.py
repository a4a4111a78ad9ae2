"""How far each layer of a model file is from the network that it was made of."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx

from octavo.backends import registry
from octavo.backends.records import Jump
from octavo.onnx_graph import canonicalize

IMAGES = 64
"""So many are enough, and every layer is run on each."""

ORDINARY_DB = 40.0
"""What 8 bits leave of ordinary values: a layer of more is no better to start from."""
JUMP_DB = 10.0
"""Ten times the noise."""


def measure(path: Path, network: Path, images: np.ndarray, fed: np.ndarray) -> dict[str, float]:
    """Signal-to-quantization-noise ratio of what each layer gives, in decibels, in the order they run.

    Args:
        path: a model file. Where its format does not keep the layers' names, nothing is measured.
        network: the exported ONNX network that it was made of; one trained quantization-aware runs as it was trained.
        images: (N, H, W[, C]) as a split has them; the first 64 are taken.
        fed: the same images as the model file takes them.

    Raises:
        ModelError: the format is unknown, or one of the two files cannot be read.
    """
    return likely(path, network, images, fed) if registry.backend_of(path).keeps_layers else {}


def likely(path: Path, network: Path, images: np.ndarray, fed: np.ndarray) -> dict[str, float]:
    """The same for every format that knows layers at all, be it by likely names; arguments as those of `measure`."""
    layers = registry.backend_of(path).layer_sqnr
    return {} if layers is None else layers(path, network, images[:IMAGES], fed[:IMAGES])


def jump(network: Path, sqnr_db: Mapping[str, float]) -> Jump | None:
    """The first layer at which the error jumps, or None where it grows little by little.

    It jumps where a layer's ratio lies 10 dB or more below that of the noisiest layer that it reads; above 40 dB that
    one counts as 40, and so do the images.

    Args:
        network: the exported ONNX network.
        sqnr_db: as `measure` gives it.
    """
    reads = _reads(canonicalize.load(network), sqnr_db.keys()) if sqnr_db else {}
    for layer, ratio in sqnr_db.items():
        before = min((sqnr_db[other] for other in reads.get(layer, ())), default=200.0)
        if ratio <= min(before, ORDINARY_DB) - JUMP_DB:
            return Jump(layer=layer, sqnr_db=ratio, before_db=before)
    return None


def _reads(model: onnx.ModelProto, layers: Collection[str]) -> dict[str, set[str]]:
    """Layer -> those of the layers that it reads, looking through all others."""
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
