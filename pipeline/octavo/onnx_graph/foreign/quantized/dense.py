"""Dense layers with integer weights in the form whose integer kernel adds the bias: Gemm behind a Reshape."""

import numpy as np
import onnx
from onnx import helper

from octavo.onnx_graph import qdq
from octavo.onnx_graph.foreign.quantized import stored


def write(model: onnx.ModelProto) -> None:
    """Write each Flatten of an example as Reshape, and each MatMul of rows and the Add behind it as Gemm, in place.

    onnxruntime computes a Flatten in float. It fuses MatMul and Add too, but then leaves the layer in float, because
    the bias is float.
    """
    ranks = {name: len(shape) for name, shape in qdq.shapes(model).items()}
    for node in model.graph.node:
        if node.op_type == "Flatten" and qdq.attribute(node, "axis", 1) == 1:
            node.op_type = "Reshape"
            node.input.append(qdq.add_constant(model, f"{node.output[0]}/shape", np.array([0, -1])))
            del node.attribute[:]
    readers, constants, arrays = qdq.consumers(model), stored.dequantized_constants(model), qdq.initializers(model)
    ends = {value.name for value in model.graph.output}
    for node in [node for node in model.graph.node if node.op_type == "MatMul" and ranks.get(node.input[0]) == 2]:
        following = readers.get(node.output[0], [])
        weights = constants.get(node.input[qdq.WEIGHT_INPUT])
        if weights is None or len(following) != 1 or following[0].op_type != "Add" or node.output[0] in ends:
            continue
        (add,) = following
        (bias,) = [name for name in add.input if name != node.output[0]] or [""]
        stored_bias = arrays.get(constants[bias].input[0] if bias in constants else bias)
        if stored_bias is None or stored_bias.shape != arrays[weights.input[0]].shape[1:]:
            continue
        layer = helper.make_node("Gemm", [*node.input, bias], [add.output[0]], doc_string=node.doc_string)
        model.graph.node.insert(list(model.graph.node).index(add), layer)
        model.graph.node.remove(add)
        model.graph.node.remove(node)
