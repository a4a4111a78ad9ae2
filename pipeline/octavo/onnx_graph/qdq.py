"""QuantizeLinear/DequantizeLinear (QDQ) in an ONNX graph: the operations that recipes build models from.

Conventions of the ONNX operators: real = scale * (integer - zero point). Weights are int8 with zero point 0,
activations are uint8. Zero points of 8-bit integers are always written, because without them onnxruntime silently stops
fusing. Biases stay float32 in the file: onnxruntime rounds them to int32, at input scale times weight scale, when it
loads layers whose output is quantized. This saves a scale for each bias. A dense layer whose output stays float needs
them as int32 in the file.
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
"""Operators with weights that onnxruntime runs in integers. A transposed convolution stays float."""
VOLUMES = 5
"""Dimensions of the weights of a 3-D convolution, whose integer kernel takes six times as long as FP32."""
BIAS_STEPS = 2**30
"""Steps of an int32 bias on each side of zero."""
TINY = 1e-30
"""Smaller magnitudes count as zero: a product of their float32 scale with another would be lost."""
CLIPS = ("Relu", "Clip")
MOVERS = ("MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that onnxruntime runs on integers: their output has the range of their input."""


Shapes = Mapping[str, tuple[int | None, ...]]


@dataclass(frozen=True)
class Grid:
    """Integers and their scale: a float32 array with one value per channel along `axis`, or a scalar if
    `axis` is None.
    """

    integers: np.ndarray
    scale: np.ndarray
    axis: int | None


def nearest(weights: np.ndarray, axis: int | None) -> Grid:
    """Symmetric int8 that maps the largest magnitude of each channel (of the whole array if `axis` is None) to 127."""
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
    """Replace the initializer `name` by its integers and a DequantizeLinear with the output `name`.

    Args:
        model: changed in place.
        name: of the initializer.
        grid: its integers and scale.
    """
    parts = {"integers": grid.integers, "scale": grid.scale}
    if grid.integers.dtype == np.int8:
        parts["zero"] = np.zeros(grid.scale.shape, np.int8)
    _replace(model, name, parts)
    node = helper.make_node("DequantizeLinear", [f"{name}/{part}" for part in parts], [name])
    if grid.axis is not None:
        node.attribute.append(helper.make_attribute("axis", grid.axis))
    model.graph.node.insert(0, node)


def insert_pair(model: onnx.ModelProto, value: str, scale: np.float32, zero: np.uint8) -> None:
    """Insert a QuantizeLinear/DequantizeLinear pair on `value`, before all its readers. A graph output keeps its name.

    Args:
        model: changed in place.
        value: name of the activation.
        scale: of the uint8 range.
        zero: zero point of the uint8 range.
    """
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
    model: onnx.ModelProto,
    grid_of: Callable[[np.ndarray, int], Grid | None],
    left: Collection[str] = (),
    operators: Collection[str] = INTEGER_KERNELS,
) -> None:
    """Store weights as int8 behind a DequantizeLinear, for layers with a quantized input.

    Biases are written as int32 if the output is not quantized directly after the layer. A channel whose bias exceeds
    int32 gets a larger scale; its weights are small compared with its bias.

    Args:
        model: has pairs on its activations, and each constant of a layer is read by that layer alone; changed in place.
        grid_of: the integers for float32 weights and the axis of their output channels; None leaves them in float.
        left: outputs of nodes to leave unchanged.
        operators: types of operators with integer kernels.
    """
    known, arrays, makers, readers = constants(model), initializers(model), producers(model), consumers(model)
    layers = [node for node in model.graph.node if is_layer(node, known, operators) and node.output[0] not in left]
    for node in layers:
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
            store_bias(model, node.input[BIAS_INPUT], bias, grid.scale * input_scale)


def store_bias(model: onnx.ModelProto, name: str, bias: np.ndarray, products: np.ndarray) -> None:
    """Store the constant `name`, a bias, in int32 at the scale of its layer's products, in place.

    Args:
        model: the graph.
        name: of the constant.
        bias: its values, float32 (channels,).
        products: the scale, a scalar or (channels,).
    """
    scale = np.broadcast_to(products, bias.shape).astype(np.float32)
    steps = np.rint(bias / scale.astype(np.float64)).astype(np.int32)
    insert_dequantized(model, name, Grid(steps, scale, 0))


def least_scale(bias: np.ndarray, input_scale: np.float32) -> np.ndarray:
    """The smallest float32 scale of the weights at which each value of a bias fits into int32.

    A bias is stored in steps of input scale times weight scale. Half of int32's range is kept for the sum of products.
    """
    least = np.abs(bias.astype(np.float64)) / (float(input_scale) * BIAS_STEPS)
    return np.nextafter(least.astype(np.float32), np.float32(np.inf), where=least > 0, out=np.zeros_like(bias))


def _with_room(grid: Grid, weights: np.ndarray, bias: np.ndarray, input_scale: np.float32, axis: int) -> Grid:
    """The grid with a larger scale for channels whose bias would otherwise exceed int32.

    A channel without weights gets the scale that is best for its bias alone.
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
    """Store the float weights of these operators as int8, and let the operators compute in float.

    A Cast and a Mul convert the weights back to float. Runtimes do that once, while they load the file. A
    DequantizeLinear
    would be computed at every call.

    Args:
        model: changed in place.
        operators: types of operators.
        grid_of: the integers for float32 weights and the axis of their output channels; None leaves them in float.
        left: outputs of nodes to leave unchanged.
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
    """Replace the initializer `name` by its integers, a Cast, and a Mul with the output `name`."""
    others = [axis for axis in range(grid.integers.ndim) if axis != grid.axis]
    scale = grid.scale if grid.axis is None else np.expand_dims(grid.scale, others)
    _replace(model, name, {"integers": grid.integers, "scale": scale})
    model.graph.node.insert(0, helper.make_node("Mul", [f"{name}/cast", f"{name}/scale"], [name]))
    model.graph.node.insert(
        0, helper.make_node("Cast", [f"{name}/integers"], [f"{name}/cast"], to=onnx.TensorProto.FLOAT)
    )


def _replace(model: onnx.ModelProto, name: str, parts: Mapping[str, np.ndarray]) -> None:
    """Replace the initializer `name` by initializers `<name>/<part>`."""
    (old,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
    model.graph.initializer.remove(old)
    for part, array in parts.items():
        model.graph.initializer.append(numpy_helper.from_array(array, f"{name}/{part}"))


def origin(name: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    """The activation that holds the values of `name`, before operators moved them."""
    while name in makers and makers[name].op_type in MOVERS:
        name = makers[name].input[0]
    return name


def scale_before(name: str, makers: dict[str, onnx.NodeProto], constants: dict[str, np.ndarray]) -> np.float32 | None:
    """The scale of the DequantizeLinear that feeds `name`, also through operators that only move values; None without
    one.

    Args:
        name: of the value.
        makers: from `producers`.
        constants: from `initializers`.
    """
    found = makers.get(origin(name, makers))
    return np.float32(constants[found.input[1]]) if found and found.op_type == "DequantizeLinear" else None


def constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Initializers by name, as tensors."""
    return {tensor.name: tensor for tensor in model.graph.initializer}


def initializers(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Initializers by name, as arrays."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def add_constant(model: onnx.ModelProto, name: str, array: np.ndarray) -> str:
    """Add an initializer, with float64 converted to float32, and return its name: `name`, or a similar one that was
    free.

    Args:
        model: changed in place.
        name: wanted.
        array: the content.
    """
    known = {tensor.name for tensor in model.graph.initializer}
    while name in known:
        name += "'"
    kept = array.astype(np.float32) if array.dtype == np.float64 else array
    model.graph.initializer.append(numpy_helper.from_array(np.require(kept, requirements="C"), name))
    return name


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of an operator's attribute.

    Args:
        node: the operator.
        name: of the attribute.
        default: the value if the operator does not have it.
    """
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)


def has_bias(node: onnx.NodeProto) -> bool:
    return len(node.input) > BIAS_INPUT and bool(node.input[BIAS_INPUT])


def is_layer(
    node: onnx.NodeProto, known: Mapping[str, onnx.TensorProto], operators: Collection[str] = INTEGER_KERNELS
) -> bool:
    """Whether a runtime has a fast integer kernel for `node`: weights are constant, and a Gemm is as `gemm_fusion`
    makes it.

    Args:
        node: an operator.
        known: the model's `constants`.
        operators: types of operators with integer kernels.
    """
    if node.op_type not in operators or node.input[WEIGHT_INPUT] not in known or node.input[0] in known:
        return False
    if has_bias(node) and node.input[BIAS_INPUT] not in known:
        return False
    if node.op_type == "ConvTranspose" and attribute(node, "group", 1) != 1:
        return False  # its groups share one scale for each channel, and have biases of their own
    rank = len(known[node.input[WEIGHT_INPUT]].dims)
    return rank < VOLUMES if node.op_type in ("Conv", "ConvTranspose") else not node.attribute and rank == 2


def shapes(model: onnx.ModelProto) -> Shapes:
    """Dimensions of values by name, as far as they can be inferred. None is a free dimension."""
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
    """For every value, the node that produces it."""
    return {output: node for node in model.graph.node for output in node.output}


def consumers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """For every value, the nodes that read it."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for value in reads(node):
            readers.setdefault(value, []).append(node)
    return readers


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, with repetitions: its inputs, and what the graphs in its attributes read."""
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
