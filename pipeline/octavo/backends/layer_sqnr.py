"""How far each layer of an ONNX file is from the network that it was made of.

Layers bear the names that `export` gave them, kept in `layers.json` beside both files. What a layer gives is looked at
behind the ReLU and the rounding that alone read it: a quantized file may leave clipping to rounding. A file of
equalized layers has other scales inside and the same answers, so it is held to the network equalized likewise.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx

from octavo.backends.onnxruntime.intermediate_outputs import open_probe
from octavo.backends.records import Jump
from octavo.data.input_encoding import pixels
from octavo.onnx_graph import canonicalize, qdq
from octavo.onnx_graph.rewrites import equalization
from octavo.project import extras
from octavo.statistics.signal_to_noise import decibels, sqnr

try:
    from octavo.backends.litert import layers as litert_layers
except ModuleNotFoundError as fault:
    litert_layers = extras.absent(fault)

IMAGES = 64
"""So many are enough, and every layer is run on each."""
BATCH = 16
STILL = (*qdq.MOVERS, "Cast", "DequantizeLinear", "Identity", "QuantizeLinear")
"""Operators that compute nothing: a layer of these alone has no error of its own."""

ORDINARY_DB = 40.0
"""What 8 bits leave of ordinary values: a layer of more is no better to start from."""
JUMP_DB = 10.0
"""Ten times the noise."""

Pairs = Mapping[str, tuple[str, str]]
"""Layer -> the value that it gives in the file, and in the network."""


def measure(path: Path, network: Path, images: np.ndarray, fed: np.ndarray) -> dict[str, float]:
    """Signal-to-quantization-noise ratio of what each layer gives, in decibels, in the order they run.

    Args:
        path: a model file. Only ONNX keeps the layers' names; of another format nothing is measured.
        network: the exported ONNX network that it was made of; one trained quantization-aware runs as it was trained.
        images: (N, H, W[, C]) as a split has them; the first 64 are taken.
        fed: the same images as the model file takes them.
    """
    if path.suffix != ".onnx":
        return {}
    model, exported = canonicalize.load(path), canonicalize.load(network)
    pairs = _pairs(model, exported)
    if not pairs:
        return {}
    asked, fed = pixels(images[:IMAGES]), fed[:IMAGES]
    references = [exported, equalization.equalize(exported)] if equalization.applies(exported) else [exported]
    found = [_ratios(model, reference, pairs, fed, asked) for reference in references]
    return max(found, key=lambda ratios: sum(ratios.values()))


def measure_litert(path: Path, network: Path, images: np.ndarray, fed: np.ndarray) -> dict[str, float]:
    """The same of a LiteRT file, over the first 16 images; arguments as those of `measure`.

    LiteRT keeps the channels last and the exported network mostly not: of both orders the one that fits is taken.
    """
    exported = canonicalize.load(network)
    outputs, ends = _outputs(exported), {value.name for value in exported.graph.output}
    last = next((layer for layer, value in outputs.items() if value in ends), None)
    got = litert_layers.values(path, fed[:BATCH], outputs, last)
    layers = [layer for layer in outputs if layer in got]
    asked = {exported.graph.input[0].name: pixels(images[:BATCH])}
    session = open_probe(exported, list(dict.fromkeys(outputs[layer] for layer in layers)))
    wanted = dict(zip((value.name for value in session.get_outputs()), session.run(None, asked), strict=True))
    found = {}
    for layer in layers:
        reference, value = wanted[outputs[layer]], got[layer]
        forms = [form for form in (value, np.moveaxis(value, -1, 1)) if form.shape == reference.shape]
        if forms:
            found[layer] = round(max(sqnr(reference, form) for form in forms), 2)
    return found


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


def _pairs(model: onnx.ModelProto, exported: onnx.ModelProto) -> Pairs:
    """Layers that both have; of those that end in the same value the first."""
    own, others = _outputs(model), _outputs(exported)
    first = {other: layer for layer, other in reversed(others.items()) if layer in own}
    return {layer: (own[layer], other) for layer, other in others.items() if first.get(other) == layer}


def _outputs(model: onnx.ModelProto) -> dict[str, str]:
    """Layer -> the value that it gives."""
    readers = qdq.consumers(model)
    computing = {node.doc_string for node in model.graph.node if node.doc_string and node.op_type not in STILL}
    return {
        node.doc_string: _behind(node.output[0], readers) for node in model.graph.node if node.doc_string in computing
    }


def _behind(value: str, readers: Mapping[str, list[onnx.NodeProto]]) -> str:
    """What becomes of `value` in the ReLU and the rounding that alone read it."""
    following = readers.get(value, [])
    if len(following) == 1 and following[0].op_type == "QuantizeLinear":
        back = readers.get(following[0].output[0], [])
        return _behind(back[0].output[0], readers) if len(back) == 1 else value
    if len(following) == 1 and following[0].op_type in qdq.CLIPS:
        return _behind(following[0].output[0], readers)
    return value


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
