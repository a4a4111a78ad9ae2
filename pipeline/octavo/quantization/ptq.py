"""Post-training quantization: turn a float ONNX network and the ranges of its activations into an integer network.

Activations are quantized where an integer kernel reads or writes them: the graph's input, its output, and the output of
each kernel after its ReLU. Operators without weights also run in integers if all their inputs are quantized anyway.
Between layers a value stays float where a kernel can return it without rounding.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

from octavo.onnx_graph import qdq
from octavo.onnx_graph.integer_ranges import Range, uint8_parameters
from octavo.onnx_graph.qdq import Grid
from octavo.project.errors import ParamsError


def _as_it_is(model: onnx.ModelProto) -> onnx.ModelProto:
    return model


@dataclass(frozen=True)
class Kernels:
    """What a runtime computes in integers."""

    layers: tuple[str, ...]
    """Operators with weights."""
    without_weights: tuple[str, ...]
    float_output: tuple[str, ...]
    """Operators with weights whose integer kernels can return float."""
    float_ends: bool = False
    """Whether the output of the network may stay float where a kernel can return it so."""
    fixed: Mapping[str, Range] = field(default_factory=dict)
    """Operators whose integer kernels give one range only."""
    rounds_constants: bool = False
    """Whether constants of operators without weights are stored in integers too."""
    seen: Callable[[onnx.ModelProto], onnx.ModelProto] = _as_it_is
    """The graph with the operators that the runtime makes of it. Values keep their names."""


FOLLOWED = ("Dropout", "Flatten", "Identity")
"""Operators besides `qdq.MOVERS` behind which a runtime that gives no floats goes on in integers."""
ONNXRUNTIME = Kernels(
    layers=qdq.INTEGER_KERNELS,
    without_weights=("Add", "AveragePool", "Concat", "GlobalAveragePool", "LeakyRelu", "Mul", "Sigmoid"),
    float_output=("Gemm", "MatMul"),
)


def layers(model: onnx.ModelProto, kernels: Kernels = ONNXRUNTIME) -> list[str]:
    """Outputs of the operators with weights, in graph order. Each of these layers can be left in float."""
    known = qdq.constants(model)
    return [node.output[0] for node in model.graph.node if qdq.is_layer(node, known, kernels.layers)]


def layers_at(model: onnx.ModelProto, places: Collection[int], kernels: Kernels = ONNXRUNTIME) -> tuple[str, ...]:
    """Outputs of the layers at these indices, counted from 0 in graph order.

    Args:
        model: the float network.
        places: the indices.
        kernels: of the runtime.

    Raises:
        ParamsError: an index is too high.
    """
    known = layers(model, kernels)
    if beyond := [place for place in places if place >= len(known)]:
        raise ParamsError(f"float_layers has {beyond[0]}, but the network has {len(known)} layers, counted from 0.")
    return tuple(known[place] for place in places)


def points(model: onnx.ModelProto, left: Collection[str] = (), kernels: Kernels = ONNXRUNTIME) -> list[str]:
    """The activations to quantize, in graph order, so that all layers except those in `left` run in integers.

    Args:
        model: the float network.
        left: outputs of operators that stay in float.
        kernels: of the runtime.
    """
    model = kernels.seen(model)
    makers, readers, weighted = qdq.producers(model), qdq.consumers(model), set(layers(model, kernels))
    free = set(qdq.constants(model)) if kernels.rounds_constants else set[str]()
    products = _products(model)
    rounded_ends = set[str]() if kernels.float_ends else {value.name for value in model.graph.output}
    found: set[str] = set()
    for node in model.graph.node:
        result = behind_clip(node, readers)
        rounds = node.op_type not in kernels.float_output or result != node.output[0] or result in rounded_ends
        if node.output[0] in weighted.difference(left):
            found.add(qdq.origin(node.input[0], makers))
            if rounds:
                found.add(result)
        if node.output[0] in products.difference(left):
            found.update(qdq.origin(name, makers) for name in node.input)
            if node.op_type not in kernels.float_output:
                found.add(result)
    rounded, in_float = {}, {*left, *_misjudged(model)}
    for node in model.graph.node:
        if node.op_type in kernels.without_weights and node.output[0] not in in_float:
            read = {qdq.origin(name, makers) for name in node.input if name not in free}
            if read and read <= found:
                rounded[node.output[0]] = behind_clip(node, readers)
                found.add(rounded[node.output[0]])
    if not kernels.float_output:
        computed = weighted.difference(left) | products.difference(left)
        for output in _without_use(model, rounded, computed):
            found.discard(rounded[output])
    order = [model.graph.input[0].name, *(output for node in model.graph.node for output in node.output)]
    return [name for name in order if name in found]


def _without_use(model: onnx.ModelProto, rounded: Mapping[str, str], layers: Collection[str]) -> set[str]:
    """Operators without weights whose integers no integer kernel reads: rounding them would cost accuracy for nothing.

    Args:
        model: the network.
        rounded: output of such an operator -> the value that is to be rounded.
        layers: outputs of operators with weights that compute in integers.

    Returns:
        Their outputs.
    """
    readers, useful, movers = qdq.consumers(model), set(layers), (*qdq.MOVERS, *FOLLOWED)
    ends = {value.name for value in model.graph.output}

    def is_read_in_integers(name: str) -> bool:
        return name in ends or any(
            is_read_in_integers(node.output[0]) if node.op_type in movers else node.output[0] in useful
            for node in readers.get(name, [])
        )

    for node in reversed(model.graph.node):
        if node.output[0] in rounded and is_read_in_integers(rounded[node.output[0]]):
            useful.add(node.output[0])
    return set(rounded) - useful


def form(model: onnx.ModelProto, kernels: Kernels) -> tuple[object, ...]:
    """What of the kernels has an effect on the quantized network. Runtimes that have it in common share trials."""
    operators = sorted({node.op_type for node in kernels.seen(model).graph.node})
    fixed = [(kind, kernels.fixed[kind]) for kind in operators if kind in kernels.fixed]
    return points(model, kernels=kernels), layers(model, kernels), fixed


def quantize(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    left: Collection[str] = (),
    per_channel: bool = True,
    keep_clips: bool = False,
    kernels: Kernels = ONNXRUNTIME,
) -> onnx.ModelProto:
    """Return the quantized network. Operators run in integers if the runtime has a kernel for them.

    Args:
        model: the float network, as `preparation.prepare` returns it. It is not changed.
        ranges: activation -> range, at least for the activations that `points` names.
        left: outputs of operators that stay in float.
        per_channel: one scale for each output channel of the weights; if false, one scale for all.
        keep_clips: keep ReLUs even if rounding to uint8 has the same effect.
        kernels: of the runtime.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    shared = _common_ranges(model, ranges, left, kernels)
    for name in points(model, left, kernels):
        scale, zero = uint8_parameters(*shared[name])
        clipped = zero == 0 and not keep_clips
        qdq.insert_pair(result, _without_clip(result, name, shared[name]) if clipped else name, scale, zero)

    if kernels.rounds_constants:
        _round_constants(result, kernels)

    def grid_of(weights: np.ndarray, axis: int) -> Grid:
        return qdq.nearest(weights, axis if per_channel else None)

    qdq.store_integers(result, grid_of, left, kernels.layers)
    qdq.store_for_float(result, ("Conv", "ConvTranspose"), grid_of, left)
    _keep_float(result, [*left, *_volumes(model), *_misjudged(model)])
    return result


def _round_constants(model: onnx.ModelProto, kernels: Kernels) -> None:
    """Store constants in int8, in place, of operators without weights whose other inputs are quantized."""
    known, makers, readers = qdq.initializers(model), qdq.producers(model), qdq.consumers(model)
    for node in model.graph.node:
        others = [makers.get(qdq.origin(name, makers)) for name in node.input if name not in known]
        if node.op_type not in kernels.without_weights or not others:
            continue
        if any(maker is None or maker.op_type != "DequantizeLinear" for maker in others):
            continue
        following = readers.get(behind_clip(node, readers), [])
        if not following or any(reader.op_type != "QuantizeLinear" for reader in following):
            continue
        for place, name in enumerate(node.input):
            if name in known and known[name].dtype == np.float32:
                values = np.atleast_1d(known[name])
                node.input[place] = qdq.add_constant(model, f"{node.output[0]}/{name}", values)
                qdq.insert_dequantized(model, node.input[place], qdq.nearest(values, None))


def _volumes(model: onnx.ModelProto) -> list[str]:
    """Outputs of 3-D convolutions."""
    known = qdq.constants(model)
    return [
        node.output[0]
        for node in model.graph.node
        if node.op_type == "Conv" and node.input[1] in known and len(known[node.input[1]].dims) == qdq.VOLUMES
    ]


def _misjudged(model: onnx.ModelProto) -> list[str]:
    """Outputs of averages that onnxruntime's integer kernel gets wrong: it divides the last windows by other counts."""
    return [
        node.output[0]
        for node in model.graph.node
        if node.op_type == "AveragePool"
        and qdq.attribute(node, "ceil_mode", 0)
        and qdq.attribute(node, "count_include_pad", 0)
    ]


def _common_ranges(
    model: onnx.ModelProto, ranges: Mapping[str, Range], left: Collection[str], kernels: Kernels
) -> dict[str, Range]:
    """The ranges as kernels need them: one common range for the inputs and the output of each Concat, for example.

    Concat then copies integers and does not need to round them again.

    Args:
        model: the float network.
        ranges: activation -> range.
        left: outputs of operators that stay in float.
        kernels: of the runtime.
    """
    model = kernels.seen(model)
    makers, readers, asked = qdq.producers(model), qdq.consumers(model), set(points(model, left, kernels))
    joined = dict(ranges)
    for node in model.graph.node:
        if node.op_type in kernels.fixed:
            joined[behind_clip(node, readers)] = kernels.fixed[node.op_type]
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
