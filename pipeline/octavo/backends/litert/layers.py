"""What each layer of a LiteRT file gives: its tensors bear the names of the Keras layers that they come from."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from octavo.backends.litert import model as litert_model
from octavo.backends.litert import trial
from octavo.backends.onnxruntime.intermediate_outputs import open_probe
from octavo.data.input_encoding import encode
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.layer_outputs import outputs
from octavo.project.files import damage
from octavo.statistics.signal_to_noise import sqnr

IMAGES = 16
"""Every tensor of all of them is held at once."""


def measure(path: Path, network: Path, images: np.ndarray, fed: np.ndarray) -> dict[str, float]:
    """Signal-to-quantization-noise ratio of what each layer gives, in decibels, over the first 16 images.

    LiteRT keeps the channels last and the exported network mostly not: of both orders the one that fits is taken.

    Args:
        path: a LiteRT file.
        network: the exported ONNX network that it was made of; onnxruntime runs it.
        images: (N, H, W[, C]) as a split has them.
        fed: the same images as the file takes them.
    """
    exported = canonicalize.load(network)
    named, ends = outputs(exported), {value.name for value in exported.graph.output}
    last = next((layer for layer, value in named.items() if value in ends), None)
    got = values(path, fed[:IMAGES], named, last)
    layers = [layer for layer in named if layer in got]
    asked = {exported.graph.input[0].name: encode(images[:IMAGES])}
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
        fed: images as the file takes them; every tensor of all of them is held at once.
        layers: names to look for.
        last: the layer that gives the file's output, whose tensor has another name.
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
    """Tensor -> layer, in the order they run; of several operators that were fused, the last one's layer."""
    model = litert_model.load(path)
    graph = model.subgraphs[0]
    found = {}
    for output in (int(output) for operator in graph.operators for output in operator.outputs):
        fused = graph.tensors[output].name.decode().split(";")[0]
        named = [part for part in fused.split("/") if part in layers]
        if output in graph.outputs and last is not None:
            found[output] = last
        elif named:
            found[output] = named[-1]
    return found
