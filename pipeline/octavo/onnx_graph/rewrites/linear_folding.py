"""Fold neighbours of a linear layer into it: batch normalization, scaling, shifts, ReLUs and padding.

Converters fold batch normalization only into convolutions. After a dense layer, or after the Squeeze of a 1-D
convolution, it remains a product and a sum in float, and keeps integer kernels from the layer's output.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from octavo.onnx_graph import integer_ranges, qdq
from octavo.onnx_graph.qdq import Shapes

MOVERS = ("Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that may be between a layer and what is folded into it."""
CARRIERS = ("DequantizeLinear", "QuantizeLinear", "Transpose")
"""Operators that may be between padding by zeros and the convolution that includes it, because zero has an exact
integer.
"""

Constants = Mapping[str, onnx.TensorProto]


@dataclass(frozen=True)
class Channels:
    """Position of a layer's output channels in a value after it."""

    count: int
    axis: int
    """Counted from the value's last dimension: -1 is the last one."""
    rank: int


@dataclass(frozen=True)
class Affine:
    """`scale * x + shift`, float64 (channels,) each."""

    scale: np.ndarray
    shift: np.ndarray

    def after(self, other: "Affine") -> "Affine":
        return Affine(self.scale * other.scale, self.scale * other.shift + self.shift)


def fold(model: onnx.ModelProto) -> None:
    """Fold padding before linear layers, and per-channel scaling and shifts after them, into the layers, in place.

    Constants that other operators also read are left to them. A layer that includes another operator gets its name,
    because it now produces its output. New weights and biases are rounded to float32 once.
    """
    _fold_paddings(model)
    constants, readers, shapes = qdq.constants(model), qdq.consumers(model), qdq.shapes(model)
    for node in [node for node in model.graph.node if node.op_type in qdq.OUTPUT_AXIS]:
        channels = _channels(node, constants, shapes)
        if channels is not None:
            _take_over(model, node, channels, constants, readers, shapes)
    _normalize_as_layers(model)


def _take_over(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    channels: Channels,
    constants: Constants,
    readers: Mapping[str, list[onnx.NodeProto]],
    shapes: Shapes,
) -> None:
    """Fold everything after the layer `node`, up to the first operator that cannot be folded."""
    ends = {value.name for value in model.graph.output}
    first, takes_shifts = None, node.op_type != "MatMul" or channels.rank == 2
    whole, last = Affine(np.ones(channels.count), np.zeros(channels.count)), node
    while len(following := readers.get(last.output[0], [])) == 1 and last.output[0] not in ends:
        (after,) = following
        moved = _moved(after, channels, constants, shapes) if after.input[0] == last.output[0] else None
        if moved is not None:
            first, last, channels = first or after, after, moved
            continue
        if after.op_type in qdq.CLIPS and first is not None:
            _clip_first(model, node, first, last, after)
            break
        step = affine(after, last.output[0], channels, constants)
        if step is None or (step.shift.any() and not takes_shifts):
            break
        whole = step.after(whole)
        last.output[0] = after.output[0]
        node.doc_string = after.doc_string or node.doc_string
        model.graph.node.remove(after)
    _apply(model, node, whole, constants)


def _clip_first(
    model: onnx.ModelProto, node: onnx.NodeProto, first: onnx.NodeProto, last: onnx.NodeProto, clip: onnx.NodeProto
) -> None:
    """Move `clip` directly behind the layer `node`, before the movers from `first` to `last`, where kernels
    include it.
    """
    model.graph.node.remove(clip)
    last.output[0] = clip.output[0]
    clip.input[0], clip.output[0] = node.output[0], f"{node.output[0]}/clipped"
    first.input[0] = clip.output[0]
    model.graph.node.insert(list(model.graph.node).index(node) + 1, clip)


def _apply(model: onnx.ModelProto, node: onnx.NodeProto, affine: Affine, constants: Constants) -> None:
    name = node.output[0]
    if (affine.scale != 1).any():
        kernel = numpy_helper.to_array(constants[node.input[qdq.WEIGHT_INPUT]]).astype(np.float64)
        scaled = _by_channel(node, kernel, affine.scale)
        node.input[qdq.WEIGHT_INPUT] = qdq.add_constant(model, f"{name}/weight", scaled)
    bias = numpy_helper.to_array(constants[node.input[qdq.BIAS_INPUT]]) if qdq.has_bias(node) else np.zeros(1)
    shifted = affine.scale * bias.astype(np.float64) + affine.shift
    if not np.array_equal(shifted, np.broadcast_to(bias, shifted.shape)):
        node.op_type = "Gemm" if node.op_type == "MatMul" else node.op_type
        inputs = [*node.input[: qdq.BIAS_INPUT], qdq.add_constant(model, f"{name}/bias", shifted)]
        del node.input[:]
        node.input.extend(inputs)


def _by_channel(node: onnx.NodeProto, kernel: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The kernel times one factor per output channel."""
    if node.op_type != "ConvTranspose":
        axis = qdq.OUTPUT_AXIS[node.op_type] % kernel.ndim
        return kernel * integer_ranges.along(scale, axis, kernel.ndim)
    groups = qdq.attribute(node, "group", 1)
    grouped = kernel.reshape(groups, kernel.shape[0] // groups, *kernel.shape[1:])
    return (grouped * scale.reshape(groups, 1, -1, *[1] * (kernel.ndim - 2))).reshape(kernel.shape)


def _normalize_as_layers(model: onnx.ModelProto) -> None:
    """Write remaining batch normalization as a depthwise convolution with one weight and bias per channel.

    The convolution has an integer kernel, and batch normalization has none.
    """
    constants, shapes = qdq.constants(model), qdq.shapes(model)
    for place, node in enumerate(list(model.graph.node)):
        rank = len(shapes.get(node.input[0], ())) if node.op_type == "BatchNormalization" else 0
        if rank not in (3, 4) or node.input[1] not in constants:
            continue
        channels = Channels(constants[node.input[1]].dims[0], 1 - rank, rank)
        found = affine(node, node.input[0], channels, constants)
        if found is None:
            continue
        kernel = found.scale.reshape(-1, *[1] * (rank - 1))
        weight, bias = (
            qdq.add_constant(model, f"{node.output[0]}/{part}", array)
            for part, array in (("weight", kernel), ("bias", found.shift))
        )
        made = helper.make_node(
            "Conv",
            [node.input[0], weight, bias],
            [node.output[0]],
            group=channels.count,
            kernel_shape=[1] * (rank - 2),
            doc_string=node.doc_string,
        )
        model.graph.node.remove(node)
        model.graph.node.insert(place, made)


def _channels(node: onnx.NodeProto, constants: Constants, shapes: Shapes) -> Channels | None:
    """The channels of the layer's output; None if the weights are not constant, or the shape is unknown."""
    weight, shape = constants.get(node.input[qdq.WEIGHT_INPUT]), shapes.get(node.output[0])
    if weight is None or (qdq.has_bias(node) and node.input[qdq.BIAS_INPUT] not in constants):
        return None
    if node.op_type == "Conv":
        return Channels(weight.dims[0], 1 - len(weight.dims), len(weight.dims))
    if node.op_type == "ConvTranspose":
        return Channels(weight.dims[1] * qdq.attribute(node, "group", 1), 1 - len(weight.dims), len(weight.dims))
    if len(weight.dims) != 2 or node.attribute or shape is None:
        return None
    return Channels(weight.dims[1], -1, len(shape))


def _moved(node: onnx.NodeProto, channels: Channels, constants: Constants, shapes: Shapes) -> Channels | None:
    """The position of the channels after `node`; None if it does more than move values, or moves the channels
    elsewhere.
    """
    if node.op_type == "Identity":
        return channels
    if node.op_type == "Transpose":
        order = list(qdq.attribute(node, "perm", range(channels.rank)[::-1]))
        return Channels(channels.count, order.index(channels.rank + channels.axis) - channels.rank, channels.rank)
    if node.op_type == "Reshape":
        shape = shapes.get(node.output[0]) or (None,)
        kept = channels.axis == -1 and shape[-1] == channels.count
        return Channels(channels.count, -1, len(shape)) if kept else None
    if node.op_type in ("Squeeze", "Unsqueeze") and len(node.input) > 1 and node.input[1] in constants:
        axes = [int(axis) for axis in numpy_helper.to_array(constants[node.input[1]]).ravel()]
        return _squeezed(channels, axes) if node.op_type == "Squeeze" else _unsqueezed(channels, axes)
    return None


def _squeezed(channels: Channels, axes: list[int]) -> Channels | None:
    gone, place = {axis % channels.rank for axis in axes}, channels.rank + channels.axis
    behind = [other for other in range(place + 1, channels.rank) if other not in gone]
    return None if place in gone else Channels(channels.count, -1 - len(behind), channels.rank - len(gone))


def _unsqueezed(channels: Channels, axes: list[int]) -> Channels:
    rank = channels.rank + len(axes)
    new = {axis % rank for axis in axes}
    old = [other for other in range(rank) if other not in new]
    return Channels(channels.count, old[channels.rank + channels.axis] - rank, rank)


def affine(node: onnx.NodeProto, value: str, channels: Channels, constants: Constants) -> Affine | None:
    """The effect of an operator on a value, channel by channel; None if it does something else.

    Args:
        node: the operator.
        value: name of the value that it reads.
        channels: of the value.
        constants: the initializers, by name.
    """
    ones, zeros = np.ones(channels.count), np.zeros(channels.count)
    if node.op_type == "BatchNormalization":
        names = list(node.input[1:])
        if channels.rank + channels.axis != 1 or len(node.output) > 1 or any(name not in constants for name in names):
            return None
        gamma, beta, mean, variance = (numpy_helper.to_array(constants[name]).astype(np.float64) for name in names)
        scale = gamma / np.sqrt(variance + qdq.attribute(node, "epsilon", 1e-5))
        found = Affine(scale, beta - mean * scale)
    elif node.op_type in ("Add", "Div", "Mul", "Sub"):
        comes_first = node.input[0] == value
        operand = _operand(node.input[comes_first], channels, constants)
        if operand is None or (node.op_type == "Div" and (not comes_first or not operand.all())):
            return None
        found = {
            "Add": lambda: Affine(ones, operand),
            "Div": lambda: Affine(1 / operand, zeros),
            "Mul": lambda: Affine(operand, zeros),
            "Sub": lambda: Affine(ones, -operand) if comes_first else Affine(-ones, operand),
        }[node.op_type]()
    else:
        return None
    return found if np.isfinite(found.scale).all() and np.isfinite(found.shift).all() else None


def _operand(name: str, channels: Channels, constants: Constants) -> np.ndarray | None:
    """A constant with one value for each channel, or one for all, as float64 (channels,)."""
    tensor = constants.get(name)
    if tensor is None or len(tensor.dims) > channels.rank:
        return None
    shape = [1] * (channels.rank - len(tensor.dims)) + list(tensor.dims)
    size = shape.pop(channels.axis)
    if size not in (1, channels.count) or any(other != 1 for other in shape):
        return None
    return np.broadcast_to(numpy_helper.to_array(tensor).astype(np.float64).ravel(), channels.count)


def _fold_paddings(model: onnx.ModelProto) -> None:
    constants, readers = qdq.constants(model), qdq.consumers(model)
    ends = {value.name for value in model.graph.output}
    for node in [node for node in model.graph.node if node.op_type == "Pad"]:
        sides = _sides(node, constants)
        if sides is None:
            continue
        value, carried = node.output[0], []
        while len(readers.get(value, [])) == 1 and readers[value][0].op_type in CARRIERS and value not in ends:
            carried += readers[value]
            value = carried[-1].output[0]
            if carried[-1].op_type == "Transpose":
                sides = sides[list(qdq.attribute(carried[-1], "perm", range(len(sides))[::-1]))]
        convolutions = readers.get(value, [])
        if value in ends or not convolutions or not all(_takes_padding(each, value, sides) for each in convolutions):
            continue
        for each in convolutions:
            _pad(each, sides[2:])
        for each in carried[:1] or convolutions:
            each.input[0] = node.input[0]
        model.graph.node.remove(node)


def _sides(node: onnx.NodeProto, constants: Constants) -> np.ndarray | None:
    """(rank, 2) numbers of zeros before and after each dimension; None if the padding is not zero."""
    if qdq.attribute(node, "mode", b"constant") != b"constant" or len(node.input) < 2 or len(node.input) > 3:
        return None
    value = node.input[2] if len(node.input) > 2 else ""
    if node.input[1] not in constants or (value and (value not in constants or _any(constants[value]))):
        return None
    sides = numpy_helper.to_array(constants[node.input[1]]).reshape(2, -1).T
    return None if (sides < 0).any() else sides


def _any(tensor: onnx.TensorProto) -> bool:
    return bool(numpy_helper.to_array(tensor).any())


def _takes_padding(node: onnx.NodeProto, value: str, sides: np.ndarray) -> bool:
    explicit = qdq.attribute(node, "auto_pad", b"NOTSET") == b"NOTSET"
    return node.op_type == "Conv" and list(node.input).count(value) == 1 and explicit and not sides[:2].any()


def _pad(node: onnx.NodeProto, sides: np.ndarray) -> None:
    """Add `sides` (spatial dimensions, 2) to the padding of a convolution."""
    there = qdq.attribute(node, "pads", [0] * sides.size)
    for item in [item for item in node.attribute if item.name == "pads"]:
        node.attribute.remove(item)
    node.attribute.append(helper.make_attribute("pads", [int(side) for side in there + sides.T.ravel()]))
