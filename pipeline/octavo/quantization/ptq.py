"""Post-training quantization: turn a float ONNX network and the ranges of its activations into an integer network.

Activations are quantized where an integer kernel reads or writes them: the graph's input, and the output of each
kernel after its ReLU. Operators without weights also run in integers if all their inputs are quantized anyway. Logits
stay float, because onnxruntime's integer Gemm can return them without rounding.
"""

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from octavo.onnx_graph import qdq
from octavo.onnx_graph.integer_ranges import Range, uint8_parameters
from octavo.onnx_graph.qdq import Grid
from octavo.project.errors import ParamsError

WITHOUT_WEIGHTS = ("Add", "AveragePool", "Concat", "GlobalAveragePool", "LeakyRelu", "Mul", "Sigmoid")
FLOAT_OUTPUT = ("Gemm", "MatMul")
"""Operators whose integer kernels can return float."""


def layers(model: onnx.ModelProto) -> list[str]:
    """Outputs of the operators with weights, in graph order. Each of these layers can be left in float."""
    known = qdq.constants(model)
    return [node.output[0] for node in model.graph.node if qdq.is_layer(node, known)]


def layers_at(model: onnx.ModelProto, places: Collection[int]) -> tuple[str, ...]:
    """Outputs of the layers at these indices, counted from 0 in graph order.

    Raises:
        ParamsError: an index is too high.
    """
    known = layers(model)
    if beyond := [place for place in places if place >= len(known)]:
        raise ParamsError(f"float_layers has {beyond[0]}, but the network has {len(known)} layers, counted from 0.")
    return tuple(known[place] for place in places)


def points(model: onnx.ModelProto, left: Collection[str] = ()) -> list[str]:
    """The activations to quantize, in graph order, so that all layers except those in `left` run in integers."""
    makers, readers, weighted = qdq.producers(model), qdq.consumers(model), set(layers(model))
    products = _products(model)
    found: set[str] = set()
    for node in model.graph.node:
        result = behind_clip(node, readers)
        if node.output[0] in weighted.difference(left):
            found.add(qdq.origin(node.input[0], makers))
            if node.op_type not in FLOAT_OUTPUT or result != node.output[0]:
                found.add(result)
        if node.output[0] in products.difference(left):
            found.update(qdq.origin(name, makers) for name in node.input)
    for node in model.graph.node:
        if node.op_type in WITHOUT_WEIGHTS and node.output[0] not in left:
            read = {qdq.origin(name, makers) for name in node.input}
            if read <= found:
                found.add(behind_clip(node, readers))
    order = [model.graph.input[0].name, *(output for node in model.graph.node for output in node.output)]
    return [name for name in order if name in found]


def quantize(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    left: Collection[str] = (),
    per_channel: bool = True,
    keep_clips: bool = False,
) -> onnx.ModelProto:
    """Return the quantized network. Operators run in integers if onnxruntime has a kernel for them.

    Args:
        model: the float network, as `preparation.prepare` returns it. It is not changed.
        ranges: activation -> range, at least for the activations that `points` names.
        left: outputs of operators that stay in float.
        per_channel: one scale for each output channel of the weights; if false, one scale for all.
        keep_clips: keep ReLUs even if rounding to uint8 has the same effect.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    shared = _common_ranges(model, ranges, left)
    for name in points(model, left):
        scale, zero = uint8_parameters(*shared[name])
        clipped = zero == 0 and not keep_clips
        qdq.insert_pair(result, _without_clip(result, name, shared[name]) if clipped else name, scale, zero)

    def grid_of(weights: np.ndarray, axis: int) -> Grid:
        return qdq.nearest(weights, axis if per_channel else None)

    qdq.store_integers(result, grid_of, left)
    qdq.store_for_float(result, ("Conv", "ConvTranspose"), grid_of, left)
    _keep_float(result, [*left, *_volumes(model)])
    return result


def _volumes(model: onnx.ModelProto) -> list[str]:
    """Outputs of 3-D convolutions."""
    known = qdq.constants(model)
    return [
        node.output[0]
        for node in model.graph.node
        if node.op_type == "Conv" and node.input[1] in known and len(known[node.input[1]].dims) == qdq.VOLUMES
    ]


def _common_ranges(model: onnx.ModelProto, ranges: Mapping[str, Range], left: Collection[str] = ()) -> dict[str, Range]:
    """The ranges, with one common range for the inputs and the output of each Concat.

    Concat then copies integers and does not need to round them again.

    Args:
        model: the float network.
        ranges: activation -> range.
        left: outputs of operators that stay in float.
    """
    makers, readers, asked = qdq.producers(model), qdq.consumers(model), set(points(model, left))
    joined = dict(ranges)
    for node in reversed(model.graph.node):
        names = [behind_clip(node, readers), *(qdq.origin(name, makers) for name in node.input)]
        if node.op_type == "Concat" and asked.issuperset(names) and node.output[0] not in left:
            ends = [joined[name] for name in names]
            whole = (min(low for low, _ in ends), max(high for _, high in ends))
            joined |= dict.fromkeys(names, whole)
    return joined


def _products(model: onnx.ModelProto) -> set[str]:
    """Outputs of matrix products of two activations, as in attention."""
    known = qdq.constants(model)
    return {
        node.output[0] for node in model.graph.node if node.op_type == "MatMul" and known.keys().isdisjoint(node.input)
    }


def behind_clip(node: onnx.NodeProto, readers: Mapping[str, list[onnx.NodeProto]]) -> str:
    """The output of the ReLU after `node`, if that is the only reader of `node`; otherwise the output of `node`."""
    following = readers.get(node.output[0], [])
    single = len(following) == 1 and following[0].op_type in qdq.CLIPS
    return following[0].output[0] if single else node.output[0]


def _without_clip(model: onnx.ModelProto, name: str, limits: Range) -> str:
    """Remove the ReLU that computes `name`, and return the name of its input.

    With zero point 0, rounding clips exactly like the ReLU. Nothing is removed, and `name` is returned, if no such ReLU
    computes it, if others read the ReLU's input, or if it touches an input or output of the graph.

    Args:
        model: the network, changed in place.
        name: the activation.
        limits: its range.
    """
    clip = qdq.producers(model).get(name)
    if clip is None or clip.op_type not in qdq.CLIPS or not _is_within(model, clip, limits):
        return name
    source = clip.input[0]
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}
    if source in ends or name in ends or len(qdq.consumers(model)[source]) > 1:
        return name
    model.graph.node.remove(clip)
    for node in model.graph.node:
        node.input[:] = [source if value == name else value for value in node.input]
    return source


def _keep_float(model: onnx.ModelProto, layers: Collection[str]) -> None:
    """Insert a Clip without bounds before these layers, in place.

    Otherwise onnxruntime would quantize their float weights when it loads the file, because the activations before and
    after them are quantized.
    """
    constants, makers, readers = qdq.initializers(model), qdq.producers(model), qdq.consumers(model)
    for node in [makers[layer] for layer in layers]:
        following = readers.get(behind_clip(node, readers), [])
        is_rounded = any(reader.op_type == "QuantizeLinear" for reader in following)
        if is_rounded and qdq.scale_before(node.input[0], makers, constants) is not None:
            place, guarded = list(model.graph.node).index(node), f"{node.output[0]}/float"
            model.graph.node.insert(place, helper.make_node("Clip", [node.input[0]], [guarded]))
            node.input[0] = guarded


def _is_within(model: onnx.ModelProto, clip: onnx.NodeProto, limits: Range) -> bool:
    """Whether rounding into the range `limits`, which starts at 0, makes `clip` unnecessary."""
    if clip.op_type == "Relu":
        return True
    constants = {
        tensor.name: float(numpy_helper.to_array(tensor))
        for tensor in model.graph.initializer
        if tensor.name in clip.input
    }
    low, high = (
        constants.get(name, default)
        for name, default in zip((*clip.input[1:], "", "")[:2], (-np.inf, np.inf), strict=True)
    )
    return low <= 0 and limits[1] <= high
