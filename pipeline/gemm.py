"""Dense layers as the one operator that has an integer kernel with a bias."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline import detached, qdq


def fuse(model: onnx.ModelProto) -> None:
    """Turn MatMul + Add of a constant bias into Gemm where the input has rank 2, in place.

    Every Gemm has its output channels last, afterwards.
    """
    _transpose_weights(model)
    bare, _ = detached.detach(model)
    inferred = onnx.shape_inference.infer_shapes(bare)
    values = (*inferred.graph.value_info, *inferred.graph.input)
    rank = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
    constants, readers = qdq.initializers(model), qdq.consumers(model)
    for node in [node for node in model.graph.node if node.op_type == "MatMul"]:
        following = readers.get(node.output[0], [])
        if len(following) != 1 or following[0].op_type != "Add" or rank.get(node.input[0]) != 2:
            continue
        add = following[0]
        biases = [name for name in add.input if name in constants and constants[name].ndim == 1]
        if not biases or node.input[1] not in constants:
            continue
        place = list(model.graph.node).index(node)
        model.graph.node.remove(node)
        model.graph.node.remove(add)
        model.graph.node.insert(
            place, helper.make_node("Gemm", [*node.input, biases[0]], list(add.output), doc_string=node.doc_string)
        )


def _transpose_weights(model: onnx.ModelProto) -> None:
    """Store the weights of a Gemm as it multiplies by them, instead of transposed, in place."""
    constants, readers = qdq.initializers(model), qdq.consumers(model)
    for node in model.graph.node:
        transposed = [item for item in node.attribute if item.name == "transB" and item.i]
        name = node.input[qdq.WEIGHT_INPUT] if node.op_type == "Gemm" else ""
        if transposed and name in constants and len(readers[name]) == 1:
            (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(constants[name].T), name))
            node.attribute.remove(transposed[0])
