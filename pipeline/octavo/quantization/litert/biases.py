"""Biases of a LiteRT file that its converter cut off at int32's ends, given room by a larger step of the weights.

LiteRT stores a bias in steps of input scale times weight scale. Where a channel's weights are tiny beside its bias, as
weight decay leaves them, the bias leaves int32 and the converter cuts it off without a word. What it was is read from
the ONNX form of the same network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.tensors import array, code, read, store, write
from octavo.onnx_graph import canonicalize, qdq
from octavo.onnx_graph.rewrites import preparation

Code, Type = schema.BuiltinOperator, schema.TensorType
OUTPUT_AXIS = {Code.CONV_2D: 0, Code.DEPTHWISE_CONV_2D: 3, Code.FULLY_CONNECTED: 0}
"""Operators with weights and biases in integers, and the axis of the output channels in their weights."""
INPUT, WEIGHT, BIAS = range(3)
ENDS = np.iinfo(np.int32)
ROUNDING = 0.51
"""Steps that a value may lie from its integer."""


@dataclass(frozen=True)
class Layer:
    """Float weights (channels, features), as LiteRT orders the features, and the bias (channels,)."""

    weights: np.ndarray
    bias: np.ndarray


def make_room(content: bytes, network: Path) -> bytes:
    """The same file with no bias cut off; the same bytes where none was, or where `network` has no such layer.

    Args:
        content: a LiteRT file.
        network: the exported ONNX network that it was made of.
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
    """Give the channels of one operator whose bias was cut off a step with which it is not, in place."""
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
    """Whether all channels whose bias was not cut off are the layer's, rounded."""
    kept = ~_at_the_ends(steps)
    if layer.weights.shape != rows.shape:
        return False
    biases = layer.bias[kept] / (scale[kept].astype(np.float64) * input_scale)
    weights = layer.weights[kept] / scale[kept, None]
    near = np.abs(weights - rows[kept]).max(initial=0) <= ROUNDING
    return bool(near and (np.abs(biases - steps[kept]) <= ROUNDING + 1e-5 * np.abs(biases)).all())


def _layers(network: Path) -> Iterator[Layer]:
    """The network's layers that have biases, with batch normalization folded into them as LiteRT's converter does."""
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
    """Put other integers and scales into a tensor."""
    tensor = graph.tensors[place]
    store(model, tensor, integers)
    tensor.quantization.scale, tensor.quantization.quantizedDimension = scale, axis
    tensor.quantization.zeroPoint = np.zeros(len(scale), np.int64)
