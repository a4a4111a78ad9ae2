"""Compare the layers of a LiteRT file with its source network."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from octavo.backends.litert import trial
from octavo.backends.litert.content import model as litert_model
from octavo.backends.onnxruntime.intermediate_outputs import open_probe
from octavo.data.input_encoding import encode
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.layer_outputs import outputs
from octavo.onnx_graph.rewrites import network_input
from octavo.project.files import damage
from octavo.statistics.signal_to_noise import sqnr

IMAGES = 16
"""Number of images. Every tensor is in memory for all of them at once."""


def measure(path: Path, network: Path, images: np.ndarray, fed: np.ndarray) -> dict[str, float]:
    """Signal-to-quantization-noise ratio of each layer's output, in decibels, over the first 16 images.

    LiteRT has the channels last, the exported network mostly first. The order that fits is used.

    Args:
        path: a LiteRT file.
        network: its source, an exported ONNX network; onnxruntime runs it.
        images: uint8 or float32 (N, H, W[, C]), as stored in a split.
        fed: the same images in the file's input encoding.

    Raises:
        ModelError: one of the two files cannot be read.
    """
    exported = canonicalize.load(network)
    named, ends = outputs(exported), {value.name for value in exported.graph.output}
    last = next((layer for layer, value in named.items() if value in ends), None)
    got = values(path, fed[:IMAGES], named, last)
    layers = [layer for layer in named if layer in got]
    asked = {exported.graph.input[0].name: encode(images[:IMAGES], network_input.encoding(exported))}
    session = open_probe(exported, list(dict.fromkeys(named[layer] for layer in layers)))
    wanted = dict(zip((value.name for value in session.get_outputs()), session.run(None, asked), strict=True))
    found = {}
    for layer in layers:
        reference, value = wanted[named[layer]], got[layer]
        forms = [form for form in (value, np.moveaxis(value, -1, 1)) if form.shape == reference.shape]
        if forms:
            found[layer] = round(max(sqnr(reference, form) for form in forms), 2)
    return found


@damage.told
def values(path: Path, fed: np.ndarray, layers: Collection[str], last: str | None) -> dict[str, np.ndarray]:
    """Layer -> its output, float32 (N, ...) with the channels last.

    Args:
        path: a LiteRT file.
        fed: images (N, H, W[, C]) in the file's input encoding. Every tensor is in memory for all of them at once.
        layers: names to look for.
        last: the layer that computes the file's output, because that tensor has another name.

    Raises:
        ModelError: the file cannot be read.
    """
    trial.check(path)
    interpreter = Interpreter(
        model_path=str(path),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    (source,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(source["index"], fed.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], fed)
    interpreter.invoke()
    details = {each["index"]: each for each in interpreter.get_tensor_details()}
    found = {}
    for index, layer in _places(path, layers, last).items():
        scale, zero = details[index]["quantization"]
        raw = interpreter.get_tensor(index).astype(np.float32)
        found[layer] = (raw - zero) * np.float32(scale) if scale else raw
    return found


def _places(path: Path, layers: Collection[str], last: str | None) -> dict[int, str]:
    """Number of a tensor -> layer, in the order in which they run. Fused operators count for the last one's layer.

    A file that was not converted has its layers beside it. A converted one has them in the names of its tensors.
    """
    model = litert_model.load(path)
    graph = model.subgraphs[0]
    beside = {int(number): layer for number, layer in canonicalize.layers(path).items() if number.isdecimal()}
    found = {}
    for output in (int(output) for operator in graph.operators for output in operator.outputs):
        fused = beside.get(output, graph.tensors[output].name.decode().split(";")[0])
        named = [fused] if fused in layers else [part for part in fused.split("/") if part in layers]
        if output in graph.outputs and last is not None:
            found[output] = last
        elif named:
            found[output] = named[-1]
    return found
