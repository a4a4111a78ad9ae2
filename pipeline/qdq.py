"""QuantizeLinear/DequantizeLinear in an ONNX graph: the pieces that recipes put models together from.

Conventions of the ONNX operators: real = scale * (integer - zero point); weights are int8 with zero point 0,
activations uint8. Zero points of 8-bit integers are always written: without them onnxruntime silently stops fusing.
Biases stay float32 in the file: onnxruntime rounds them to int32, at input scale times weight scale, when it loads
layers whose output is quantized, and spares the file a scale for each. Only a layer that gives logits needs them
written as int32.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline import session_options

WEIGHT_INPUT = 1
BIAS_INPUT = 2
OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1, "Gemm": -1}
"""Axis of the output channels in each operator's weight."""
INTEGER_KERNELS = ("Conv", "MatMul", "Gemm")
"""Operators with weights that onnxruntime runs in integers; a transposed convolution stays float."""
CLIPS = ("Relu", "Clip")
MOVERS = ("MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators through which onnxruntime carries integers: their output has their input's range."""


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
    scale = np.where(peak > 0, peak / 127, 1).astype(np.float32)
    shaped = scale if axis is None else np.expand_dims(scale, others)
    steps = weights / shaped
    np.rint(steps, out=steps)
    np.clip(steps, -127, 127, out=steps)
    return Grid(steps.astype(np.int8), scale, axis)


def insert_dequantized(model: onnx.ModelProto, name: str, grid: Grid) -> None:
    """Replace the initializer `name` by its integers and a DequantizeLinear that yields `name`."""
    graph = model.graph
    (old,) = [tensor for tensor in graph.initializer if tensor.name == name]
    graph.initializer.remove(old)
    parts = {"integers": grid.integers, "scale": grid.scale}
    if grid.integers.dtype == np.int8:
        parts["zero"] = np.zeros(grid.scale.shape, np.int8)
    for part, array in parts.items():
        graph.initializer.append(numpy_helper.from_array(array, f"{name}/{part}"))
    node = helper.make_node("DequantizeLinear", [f"{name}/{part}" for part in parts], [name])
    if grid.axis is not None:
        node.attribute.append(helper.make_attribute("axis", grid.axis))
    graph.node.insert(0, node)


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
    """Store weights as int8 behind a DequantizeLinear, where the input is quantized; of logits the bias, too.

    The model asks for exact sums of their products, unless layers share weights: onnxruntime then fails to load it.

    Args:
        model: with pairs on its activations; changed in place.
        grid_of: the integers for float32 weights whose output channels lie along the given axis; None leaves them.
        left: outputs of nodes to leave as they are.
    """
    constants, makers, readers = initializers(model), producers(model), consumers(model)
    stored: set[str] = set()
    for node in [node for node in model.graph.node if node.op_type in INTEGER_KERNELS and node.output[0] not in left]:
        weight, input_scale = node.input[WEIGHT_INPUT], scale_before(node.input[0], makers, constants)
        if weight not in constants or input_scale is None:
            continue
        grid = grid_of(constants[weight], OUTPUT_AXIS[node.op_type])
        if grid is None:
            continue
        if weight not in stored:
            insert_dequantized(model, weight, grid)
            stored.add(weight)
        if len(node.input) > BIAS_INPUT and not readers.get(node.output[0]):
            bias = constants[node.input[BIAS_INPUT]]
            scale = np.broadcast_to(grid.scale * input_scale, bias.shape).astype(np.float32)
            steps = np.rint(bias / scale.astype(np.float64)).clip(-(2**31), 2**31 - 1).astype(np.int32)
            insert_dequantized(model, node.input[BIAS_INPUT], Grid(steps, scale, 0))
    if all(len(readers[weight]) == 1 for weight in stored):
        session_options.ask(model, session_options.EXACT_SUMS)


def store_for_float(model: onnx.ModelProto, operators: Collection[str], per_channel: bool = True) -> None:
    """Store the weights of these operators as int8 and let them compute in float, in place.

    onnxruntime turns such weights back into float as it loads the file if the session option in the metadata is set.
    """
    constants = initializers(model)
    weights = {
        node.input[WEIGHT_INPUT]: OUTPUT_AXIS[node.op_type]
        for node in model.graph.node
        if node.op_type in operators and node.input[WEIGHT_INPUT] in constants
    }
    for weight, axis in weights.items():
        insert_dequantized(model, weight, nearest(constants[weight], axis if per_channel else None))
    session_options.ask(model, session_options.RUN_IN_FLOAT)


def origin(name: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    """The activation whose values `name` has, before operators moved them."""
    while name in makers and makers[name].op_type in MOVERS:
        name = makers[name].input[0]
    return name


def scale_before(name: str, makers: dict[str, onnx.NodeProto], constants: dict[str, np.ndarray]) -> np.float32 | None:
    """The scale of the DequantizeLinear that feeds `name`, looking through operators that move values only."""
    found = makers.get(origin(name, makers))
    return np.float32(constants[found.input[1]]) if found and found.op_type == "DequantizeLinear" else None


def initializers(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Initializers by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """For every value the node that makes it."""
    return {output: node for node in model.graph.node for output in node.output}


def consumers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """For every value the nodes that read it."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for value in node.input:
            readers.setdefault(value, []).append(node)
    return readers
