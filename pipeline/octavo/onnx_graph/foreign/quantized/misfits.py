"""Layers whose weights have scales along another axis than their output channels: no integer kernel takes them."""

import onnx
from onnx import helper

from octavo.onnx_graph import qdq
from octavo.onnx_graph.foreign.quantized import stored


def keep_float(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Let these layers compute in float, in place, and return them.

    onnxruntime would take an integer kernel that fails when it runs. A Clip without bounds keeps it from that.
    """
    arrays, constants = qdq.initializers(model), stored.dequantized_constants(model)
    found = []
    for node in [node for node in model.graph.node if node.op_type in qdq.INTEGER_KERNELS]:
        weights = constants.get(node.input[qdq.WEIGHT_INPUT])
        if weights is None or not arrays[weights.input[1]].ndim:
            continue
        rank = arrays[weights.input[0]].ndim
        if stored.axis_of(weights) % rank != qdq.OUTPUT_AXIS[node.op_type] % rank:
            guarded = f"{node.output[0]}/float"
            clip = helper.make_node("Clip", [node.input[0]], [guarded])
            model.graph.node.insert(list(model.graph.node).index(node), clip)
            node.input[0] = guarded
            found.append(node)
    return found
