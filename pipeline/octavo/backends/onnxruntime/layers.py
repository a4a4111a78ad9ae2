"""How far each layer of an ONNX file is from the network that it was made of.

A file of equalized layers has other scales inside and the same answers, so it is held to the network equalized
likewise.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from octavo.backends.onnxruntime.intermediate_outputs import open_probe
from octavo.data.input_encoding import encode
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.layer_outputs import outputs
from octavo.onnx_graph.rewrites import equalization
from octavo.statistics.signal_to_noise import decibels

BATCH = 16

Pairs = Mapping[str, tuple[str, str]]
"""Layer -> the value that it gives in the file, and in the network."""


def measure(path: Path, network: Path, images: np.ndarray, fed: np.ndarray) -> dict[str, float]:
    """Signal-to-quantization-noise ratio of what each layer gives, in decibels, in the order they run.

    Args:
        path: an ONNX file.
        network: the exported ONNX network that it was made of; one trained quantization-aware runs as it was trained.
        images: (N, H, W[, C]) as a split has them.
        fed: the same images as the file takes them.
    """
    model, exported = canonicalize.load(path), canonicalize.load(network)
    pairs = _pairs(model, exported)
    if not pairs:
        return {}
    asked = encode(images)
    references = [exported, equalization.equalize(exported)] if equalization.applies(exported) else [exported]
    found = [_ratios(model, reference, pairs, fed, asked) for reference in references]
    return max(found, key=lambda ratios: sum(ratios.values()))


def _pairs(model: onnx.ModelProto, exported: onnx.ModelProto) -> Pairs:
    """Layers that both have; of those that end in the same value the first."""
    own, others = outputs(model), outputs(exported)
    first = {other: layer for layer, other in reversed(others.items()) if layer in own}
    return {layer: (own[layer], other) for layer, other in others.items() if first.get(other) == layer}


def _ratios(
    model: onnx.ModelProto, exported: onnx.ModelProto, pairs: Pairs, fed: np.ndarray, asked: np.ndarray
) -> dict[str, float]:
    own, others = ([pair[which] for pair in pairs.values()] for which in (0, 1))
    session, reference_session = open_probe(model, own), open_probe(exported, others)
    source, network_source = (graph.input[0].name for graph in (model.graph, exported.graph))
    signal: dict[str, float] = defaultdict(float)
    noise: dict[str, float] = defaultdict(float)
    for start in range(0, len(asked), BATCH):
        got = session.run(own, {source: fed[start : start + BATCH]})
        wanted = reference_session.run(others, {network_source: asked[start : start + BATCH]})
        for layer, value, reference in zip(pairs, got, wanted, strict=True):
            if value.shape == reference.shape:
                signal[layer] += float(np.sum(reference.astype(np.float64) ** 2))
                noise[layer] += float(np.sum((reference - value.astype(np.float64)) ** 2))
    return {layer: round(decibels(signal[layer], noise[layer]), 2) for layer in signal}
