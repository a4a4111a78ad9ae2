"""Where onnxruntime would not compute what is written, a Clip without bounds keeps it from that."""

import numpy as np
import onnx
from onnx import helper

from octavo.onnx_graph import qdq
from octavo.onnx_graph.foreign.quantized import stored


def keep_float(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Let layers whose weights have scales along another axis than their output channels compute in float, in place.

    onnxruntime would take an integer kernel that fails when it runs.

    Returns:
        The layers.
    """
    arrays, constants = qdq.initializers(model), stored.dequantized_constants(model)
    found = []
    for node in [node for node in model.graph.node if node.op_type in qdq.INTEGER_KERNELS]:
        weights = constants.get(node.input[qdq.WEIGHT_INPUT])
        if weights is None or not arrays[weights.input[1]].ndim:
            continue
        rank = arrays[weights.input[0]].ndim
        if stored.axis_of(weights) % rank != qdq.OUTPUT_AXIS[node.op_type] % rank:
            _guard(model, node, f"{node.output[0]}/float")
            found.append(node)
    return found


def keep_apart(model: onnx.ModelProto) -> None:
    """Keep two roundings in a row apart, in place.

    onnxruntime would make one of the two, with a scale and a zero point of its own. Its answers then differ, by as much
    as a third of their range.
    """
    arrays, makers = qdq.initializers(model), qdq.producers(model)
    for node in [node for node in model.graph.node if node.op_type == "QuantizeLinear"]:
        before = makers.get(node.input[0])
        if before is None or before.op_type != "DequantizeLinear":
            continue
        pairs = zip(before.input[1:], node.input[1:], strict=True)
        if not all(np.array_equal(arrays[one], arrays[other]) for one, other in pairs):
            _guard(model, node, f"{node.output[0]}/apart")


def _guard(model: onnx.ModelProto, node: onnx.NodeProto, name: str) -> None:
    """Put a Clip without bounds in front of the first input of a node, in place.

    Args:
        model: the graph.
        node: of the graph.
        name: of the Clip's output.
    """
    model.graph.node.insert(list(model.graph.node).index(node), helper.make_node("Clip", [node.input[0]], [name]))
    node.input[0] = name
