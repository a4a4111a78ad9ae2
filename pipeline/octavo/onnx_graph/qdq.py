"""QuantizeLinear/DequantizeLinear in an ONNX graph: the pieces that recipes put models together from.

Conventions of the ONNX operators: real = scale * (integer - zero point); weights are int8 with zero point 0,
activations uint8. Zero points of 8-bit integers are always written: without them onnxruntime silently stops fusing.
Biases stay float32 in the file: onnxruntime rounds them to int32, at input scale times weight scale, when it loads
layers whose output is quantized, and spares the file a scale for each. A dense layer whose output stays float needs
them written as int32.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from octavo.onnx_graph import external_tensors

WEIGHT_INPUT = 1
BIAS_INPUT = 2
OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1, "Gemm": -1}
"""Axis of the output channels in each operator's weight."""
INTEGER_KERNELS = ("Conv", "MatMul", "Gemm")
"""Operators with weights that onnxruntime runs in integers; a transposed convolution stays float."""
VOLUMES = 5
"""Dimensions of the weights of a 3-D convolution: its integer kernel takes six times FP32's time."""
BIAS_STEPS = 2**30
"""Steps of an int32 bias on either side of zero."""
TINY = 1e-30
"""Magnitudes below it count as zero: a float32 scale for them could not be multiplied by another."""
CLIPS = ("Relu", "Clip")
MOVERS = ("MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators through which onnxruntime carries integers: their output has their input's range."""


Shapes = Mapping[str, tuple[int | None, ...]]


@dataclass(frozen=True)
class Grid:
    """Integers and their scale: a float32 array per channel along `axis`, or a scalar where `axis` is None."""

    integers: np.ndarray
    scale: np.ndarray
    axis: int | None


def nearest(weights: np.ndarray, axis: int | None) -> Grid:
    """Symmetric int8 with the largest magnitude of each channel (or of all, where `axis` is None) at 127."""
    axis = None if axis is None else axis % weights.ndim
    others = tuple(other for other in range(weights.ndim) if other != axis)
    along = None if axis is None else others
    peak = np.maximum(weights.max(along), -weights.min(along))
    scale = np.where(peak > TINY, peak / 127, 1).astype(np.float32)
    shaped = scale if axis is None else np.expand_dims(scale, others)
    steps = weights / shaped
    np.rint(steps, out=steps)
    np.clip(steps, -127, 127, out=steps)
    return Grid(steps.astype(np.int8), scale, axis)


def insert_dequantized(model: onnx.ModelProto, name: str, grid: Grid) -> None:
    """Replace the initializer `name` by its integers and a DequantizeLinear that yields `name`."""
    parts = {"integers": grid.integers, "scale": grid.scale}
    if grid.integers.dtype == np.int8:
        parts["zero"] = np.zeros(grid.scale.shape, np.int8)
    _replace(model, name, parts)
    node = helper.make_node("DequantizeLinear", [f"{name}/{part}" for part in parts], [name])
    if grid.axis is not None:
        node.attribute.append(helper.make_attribute("axis", grid.axis))
    model.graph.node.insert(0, node)


def insert_pair(model: onnx.ModelProto, value: str, scale: np.float32, zero: np.uint8) -> None:
    """Put a QuantizeLinear/DequantizeLinear pair on `value`, before all its readers; a graph output keeps its name."""
    graph = model.graph
    rounded = f"{value}/rounded"
    if value in {output.name for output in graph.output}:
        value, rounded = f"{value}/exact", value
        for node in graph.node:
            node.output[:] = [value if name == rounded else name for name in node.output]
    for node in graph.node:
        node.input[:] = [rounded if name == value else name for name in node.input]
    for part, array in (("scale", scale), ("zero", zero)):
        graph.initializer.append(numpy_helper.from_array(np.asarray(array), f"{value}/{part}"))
    parameters = [f"{value}/scale", f"{value}/zero"]
    place = next((at + 1 for at, node in enumerate(graph.node) if value in node.output), 0)
    graph.node.insert(place, helper.make_node("DequantizeLinear", [f"{value}/integers", *parameters], [rounded]))
    graph.node.insert(place, helper.make_node("QuantizeLinear", [value, *parameters], [f"{value}/integers"]))


def store_integers(
    model: onnx.ModelProto, grid_of: Callable[[np.ndarray, int], Grid | None], left: Collection[str] = ()
) -> None:
    """Store weights as int8 behind a DequantizeLinear, where the input is quantized.

    Biases are written as int32 where the output is not quantized right behind the layer. A channel whose bias leaves
    int32 gets a larger step: its weights are then small beside it.

    Args:
        model: with pairs on its activations, and each constant of a layer read by it alone; changed in place.
        grid_of: the integers for float32 weights whose output channels lie along the given axis; None leaves them.
        left: outputs of nodes to leave as they are.
    """
    known, arrays, makers, readers = constants(model), initializers(model), producers(model), consumers(model)
    for node in [node for node in model.graph.node if is_layer(node, known) and node.output[0] not in left]:
        weight, input_scale = node.input[WEIGHT_INPUT], scale_before(node.input[0], makers, arrays)
        if input_scale is None:
            continue
        grid = grid_of(arrays[weight], OUTPUT_AXIS[node.op_type])
        if grid is None:
            continue
        if has_bias(node):
            bias = arrays[node.input[BIAS_INPUT]]
            grid = _with_room(grid, arrays[weight], bias, input_scale, OUTPUT_AXIS[node.op_type])
        insert_dequantized(model, weight, grid)
        following = readers.get(node.output[0], [])
        if has_bias(node) and [reader.op_type for reader in following] != ["QuantizeLinear"]:
            scale = np.broadcast_to(grid.scale * input_scale, bias.shape).astype(np.float32)
            steps = np.rint(bias / scale.astype(np.float64)).astype(np.int32)
            insert_dequantized(model, node.input[BIAS_INPUT], Grid(steps, scale, 0))


def least_scale(bias: np.ndarray, input_scale: np.float32) -> np.ndarray:
    """The smallest scale of weights, float32, with which each value of a bias is an int32.

    A bias is stored in steps of input scale times weight scale. Half of int32's range is left to the sum of products.
    """
    least = np.abs(bias.astype(np.float64)) / (float(input_scale) * BIAS_STEPS)
    return np.nextafter(least.astype(np.float32), np.float32(np.inf), where=least > 0, out=np.zeros_like(bias))


def _with_room(grid: Grid, weights: np.ndarray, bias: np.ndarray, input_scale: np.float32, axis: int) -> Grid:
    """The grid with larger steps in channels whose bias would else leave int32.

    A channel without weights takes the step that is best for its bias alone.
    """
    axis %= weights.ndim
    others = tuple(other for other in range(weights.ndim) if other != axis)
    least, dead = least_scale(bias, input_scale), ~grid.integers.any(others)
    scale = np.where(dead & (least > 0), least, np.maximum(grid.scale, least)).astype(np.float32)
    if (scale == grid.scale).all():
        return grid
    steps = np.rint(weights / np.expand_dims(scale, others)).clip(-127, 127).astype(np.int8)
    kept = np.expand_dims(scale == grid.scale, others)
    return Grid(np.where(kept, grid.integers, steps), scale, axis)


def store_for_float(
    model: onnx.ModelProto,
    operators: Collection[str],
    grid_of: Callable[[np.ndarray, int], Grid | None],
    left: Collection[str] = (),
) -> None:
    """Store the float weights of these operators as int8 and let them compute in float, in place.

    A Cast and a Mul turn them back into float. Runtimes do that once, while they load the file; a DequantizeLinear
    would be computed at every call.

    Args:
        model: changed in place.
        operators: types of operators.
        grid_of: the integers for float32 weights whose output channels lie along the given axis; None leaves them.
        left: outputs of nodes to leave as they are.
    """
    known = constants(model)
    weights = {
        node.input[WEIGHT_INPUT]: OUTPUT_AXIS[node.op_type]
        for node in model.graph.node
        if node.op_type in operators and node.input[WEIGHT_INPUT] in known and node.output[0] not in left
    }
    for name, axis in weights.items():
        weight = numpy_helper.to_array(known[name])
        grid = grid_of(weight, axis) if weight.dtype == np.float32 else None
        if grid is not None:
            _insert_cast(model, name, grid)


def _insert_cast(model: onnx.ModelProto, name: str, grid: Grid) -> None:
    """Replace the initializer `name` by its integers, a Cast, and a Mul that yields `name`."""
    others = [axis for axis in range(grid.integers.ndim) if axis != grid.axis]
    scale = grid.scale if grid.axis is None else np.expand_dims(grid.scale, others)
    _replace(model, name, {"integers": grid.integers, "scale": scale})
    model.graph.node.insert(0, helper.make_node("Mul", [f"{name}/cast", f"{name}/scale"], [name]))
    model.graph.node.insert(
        0, helper.make_node("Cast", [f"{name}/integers"], [f"{name}/cast"], to=onnx.TensorProto.FLOAT)
    )


def _replace(model: onnx.ModelProto, name: str, parts: Mapping[str, np.ndarray]) -> None:
    """Put initializers `<name>/<part>` in the place of the one called `name`."""
    (old,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
    model.graph.initializer.remove(old)
    for part, array in parts.items():
        model.graph.initializer.append(numpy_helper.from_array(array, f"{name}/{part}"))


def origin(name: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    """The activation whose values `name` has, before operators moved them."""
    while name in makers and makers[name].op_type in MOVERS:
        name = makers[name].input[0]
    return name


def scale_before(name: str, makers: dict[str, onnx.NodeProto], constants: dict[str, np.ndarray]) -> np.float32 | None:
    """The scale of the DequantizeLinear that feeds `name`, looking through operators that move values only."""
    found = makers.get(origin(name, makers))
    return np.float32(constants[found.input[1]]) if found and found.op_type == "DequantizeLinear" else None


def constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Initializers by name, as they are."""
    return {tensor.name: tensor for tensor in model.graph.initializer}


def initializers(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Initializers by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def add_constant(model: onnx.ModelProto, name: str, array: np.ndarray) -> str:
    """Give `model` an initializer, float64 as float32; returns its name, `name` or one like it that was free."""
    known = {tensor.name for tensor in model.graph.initializer}
    while name in known:
        name += "'"
    kept = array.astype(np.float32) if array.dtype == np.float64 else array
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(kept), name))
    return name


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of an operator's attribute."""
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)


def has_bias(node: onnx.NodeProto) -> bool:
    return len(node.input) > BIAS_INPUT and bool(node.input[BIAS_INPUT])


def is_layer(node: onnx.NodeProto, known: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether onnxruntime has a fast integer kernel for `node`: with constant weights, and a Gemm as `gemm` leaves it.

    `known` are the model's `constants`.
    """
    if node.op_type not in INTEGER_KERNELS or node.input[WEIGHT_INPUT] not in known or node.input[0] in known:
        return False
    if has_bias(node) and node.input[BIAS_INPUT] not in known:
        return False
    rank = len(known[node.input[WEIGHT_INPUT]].dims)
    return rank < VOLUMES if node.op_type == "Conv" else not node.attribute and rank == 2


def shapes(model: onnx.ModelProto) -> Shapes:
    """Dimensions of values by name, as far as they can be inferred; None where a dimension is free."""
    bare, _ = external_tensors.detach(model)
    graph = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
    return {
        value.name: tuple(
            size.dim_value if size.HasField("dim_value") else None for size in value.type.tensor_type.shape.dim
        )
        for value in (*graph.value_info, *graph.input, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """For every value the node that makes it."""
    return {output: node for node in model.graph.node for output in node.output}


def consumers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """For every value the nodes that read it."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for value in reads(node):
            readers.setdefault(value, []).append(node)
    return readers


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads: its inputs, and all that the graphs in its attributes read, a name as often as it stands."""
    yield from node.input
    for graph in subgraphs(node):
        for inner in graph.node:
            yield from reads(inner)
        yield from (value.name for value in graph.output)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs in a node's attributes, such as the body of a loop."""
    for item in node.attribute:
        if item.type == onnx.AttributeProto.GRAPH:
            yield item.g
        yield from item.graphs
