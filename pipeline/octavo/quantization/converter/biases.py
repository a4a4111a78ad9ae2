"""Repair biases that LiteRT's converter clipped to int32, with a larger step of the weights.

LiteRT stores a bias in steps of input scale times weight scale. If the weights of a channel are tiny compared with its
bias, for example after weight decay, the bias leaves int32, and the converter clips it without a warning. The original
bias is read from the ONNX file of the same network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.tensors import array, code, read, store, write
from octavo.onnx_graph import canonicalize, qdq
from octavo.onnx_graph.rewrites import preparation

Code, Type = schema.BuiltinOperator, schema.TensorType
OUTPUT_AXIS = {Code.CONV_2D: 0, Code.DEPTHWISE_CONV_2D: 3, Code.FULLY_CONNECTED: 0}
"""Operators with integer weights and biases -> axis of the output channels in their weights."""
INPUT, WEIGHT, BIAS = range(3)
ENDS = np.iinfo(np.int32)
ROUNDING = 0.51
"""Largest distance of a value from its integer, in steps."""


@dataclass(frozen=True)
class Layer:
    """Float weights (channels, features), with the features in LiteRT's order, and bias (channels,); both float64."""

    weights: np.ndarray
    bias: np.ndarray


def make_room(content: bytes, network: Path) -> bytes:
    """Return the file with its clipped biases repaired; the same bytes if none was clipped.

    A layer stays unchanged if it is not found in `network`.

    Args:
        content: a LiteRT file.
        network: the exported ONNX network that the file was made from.
    """
    model = read(content)
    cut = [
        (graph, operator)
        for graph in model.subgraphs
        for operator in graph.operators or ()
        if _is_cut(model, graph, operator)
    ]
    if not cut:
        return content
    layers = list(_layers(network))
    for graph, operator in cut:
        _widen(model, graph, operator, layers)
    return write(model)


def _is_cut(model: schema.ModelT, graph: schema.SubGraphT, operator: schema.OperatorT) -> bool:
    if code(model, operator) not in OUTPUT_AXIS or len(operator.inputs) <= BIAS or operator.inputs[BIAS] < 0:
        return False
    weight, bias = (graph.tensors[operator.inputs[place]] for place in (WEIGHT, BIAS))
    in_integers = (weight.type, bias.type) == (Type.INT8, Type.INT32)
    return in_integers and bool(_at_the_ends(array(model, bias, np.int32)).any())


def _at_the_ends(bias: np.ndarray) -> np.ndarray:
    return (bias == ENDS.max) | (bias <= -ENDS.max)


def _widen(model: schema.ModelT, graph: schema.SubGraphT, operator: schema.OperatorT, layers: Sequence[Layer]) -> None:
    """Give each channel with a clipped bias a step that is large enough for its bias, in place.

    Args:
        model: the file.
        graph: the operator's graph.
        operator: has at least one clipped bias.
        layers: the float layers of the network.
    """
    source, weight, bias = (graph.tensors[operator.inputs[place]] for place in (INPUT, WEIGHT, BIAS))
    axis, steps = OUTPUT_AXIS[code(model, operator)], array(model, bias, np.int32).copy()
    integers = np.moveaxis(array(model, weight, np.int8), axis, 0)
    rows, scale = integers.reshape(len(steps), -1).copy(), np.broadcast_to(weight.quantization.scale, len(steps))
    input_scale, cut = np.float32(source.quantization.scale[0]), _at_the_ends(steps)
    layer = next((each for each in layers if _is_made_of(rows, steps, scale, input_scale, each)), None)
    if layer is None:
        return
    wider = np.where(cut, np.maximum(scale, qdq.least_scale(layer.bias, input_scale)), scale).astype(np.float32)
    rows[cut] = np.rint(layer.weights[cut] / wider[cut, None]).clip(-127, 127).astype(np.int8)
    steps[cut] = np.rint(layer.bias[cut] / (wider[cut].astype(np.float64) * input_scale)).astype(np.int32)
    _store(model, graph, operator.inputs[WEIGHT], np.moveaxis(rows.reshape(integers.shape), 0, axis), wider, axis)
    _store(model, graph, operator.inputs[BIAS], steps, (wider * input_scale).astype(np.float32), 0)


def _is_made_of(rows: np.ndarray, steps: np.ndarray, scale: np.ndarray, input_scale: np.float32, layer: Layer) -> bool:
    """Whether all channels without a clipped bias equal the rounded channels of the float layer.

    Args:
        rows: integer weights (channels, features).
        steps: integer bias (channels,).
        scale: of the weights, (channels,).
        input_scale: scale of the operator's input.
        layer: the float layer.
    """
    kept = ~_at_the_ends(steps)
    if layer.weights.shape != rows.shape:
        return False
    biases = layer.bias[kept] / (scale[kept].astype(np.float64) * input_scale)
    weights = layer.weights[kept] / scale[kept, None]
    near = np.abs(weights - rows[kept]).max(initial=0) <= ROUNDING
    return bool(near and (np.abs(biases - steps[kept]) <= ROUNDING + 1e-5 * np.abs(biases)).all())


def _layers(network: Path) -> Iterator[Layer]:
    """The network's layers with biases. Batch normalization is folded into them, as in LiteRT's converter."""
    model = canonicalize.load(network)
    preparation.prepare(model)
    constants, known = qdq.initializers(model), qdq.constants(model)
    for node in model.graph.node:
        if qdq.is_layer(node, known) and qdq.has_bias(node):
            weights, bias = (constants[node.input[place]] for place in (qdq.WEIGHT_INPUT, qdq.BIAS_INPUT))
            last = np.moveaxis(weights, 1, -1) if node.op_type == "Conv" else weights.T
            yield Layer(last.reshape(len(bias), -1).astype(np.float64), bias.astype(np.float64))


def _store(
    model: schema.ModelT, graph: schema.SubGraphT, place: int, integers: np.ndarray, scale: np.ndarray, axis: int
) -> None:
    """Replace the integers and scales of a tensor.

    Args:
        model: the file.
        graph: the tensor's graph.
        place: index of the tensor.
        integers: the new content.
        scale: float32 (channels,).
        axis: of the channels.
    """
    tensor = graph.tensors[place]
    store(model, tensor, integers)
    tensor.quantization.scale, tensor.quantization.quantizedDimension = scale, axis
    tensor.quantization.zeroPoint = np.zeros(len(scale), np.int64)
