"""Compare the layers of an ONNX file with its source network.

A file with equalized layers has other scales inside, but the same outputs. It is compared with the network after the
same equalization.
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
from octavo.onnx_graph.rewrites import equalization, network_input
from octavo.statistics.signal_to_noise import decibels

BATCH = 16
"""Images per run."""

Pairs = Mapping[str, tuple[str, str]]
"""Layer -> name of its output in the file, and in the network."""


def measure(path: Path, network: Path, images: np.ndarray, fed: np.ndarray) -> dict[str, float]:
    """Signal-to-quantization-noise ratio of each layer's output, in decibels, in the order in which the layers run.

    Args:
        path: an ONNX file.
        network: its source, an exported ONNX network. A quantization-aware network runs with its fake quantization.
        images: uint8 or float32 (N, H, W[, C]), as stored in a split.
        fed: the same images in the file's input encoding.

    Raises:
        ModelError: one of the two files cannot be read.
    """
    model, exported = canonicalize.load(path), canonicalize.load(network)
    pairs = _pairs(model, exported)
    if not pairs:
        return {}
    asked = encode(images, network_input.encoding(exported))
    references = [exported, equalization.equalize(exported)] if equalization.applies(exported) else [exported]
    found = [_ratios(model, reference, pairs, fed, asked) for reference in references]
    return max(found, key=lambda ratios: sum(ratios.values()))


def _pairs(model: onnx.ModelProto, exported: onnx.ModelProto) -> Pairs:
    """The layers that both models have. Of several layers with the same output, only the first."""
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
