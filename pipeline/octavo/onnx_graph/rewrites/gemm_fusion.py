"""Write dense layers as Gemm with constant weights, the one operator that has an integer kernel with a bias."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from octavo.onnx_graph import qdq
from octavo.onnx_graph.qdq import Shapes


def normalize(model: onnx.ModelProto) -> None:
    """Give every Gemm with a constant weight its output channels last, factors of 1 and a bias of rank 1, in place.

    What cannot be written in this form (a transposed input, a bias that is not constant) is left unchanged and in
    float.
    """
    constants = qdq.constants(model)
    for node in [node for node in model.graph.node if node.op_type == "Gemm"]:
        settings = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        weight = constants.get(node.input[qdq.WEIGHT_INPUT])
        if weight is None or settings.get("transA"):
            continue
        kernel = numpy_helper.to_array(weight).T if settings.get("transB") else numpy_helper.to_array(weight)
        bias = _bias(node, constants, kernel.shape[1])
        if bias is None and qdq.has_bias(node):
            continue
        alpha, beta = (np.float32(settings.get(name, 1)) for name in ("alpha", "beta"))
        if settings.get("transB") or alpha != 1:
            node.input[qdq.WEIGHT_INPUT] = qdq.add_constant(model, f"{node.output[0]}/weight", kernel * alpha)
        if bias is not None and (beta != 1 or list(constants[node.input[qdq.BIAS_INPUT]].dims) != [len(bias)]):
            node.input[qdq.BIAS_INPUT] = qdq.add_constant(model, f"{node.output[0]}/bias", bias * beta)
        del node.attribute[:]


def fuse(model: onnx.ModelProto) -> None:
    """Turn MatMul + Add of a constant bias into Gemm, in place.

    An input of more than two dimensions, of which only the batch may be unknown, is flattened for the Gemm, and the
    output gets its dimensions back. onnxruntime does the same while it loads a file, but not for integers.
    """
    constants, readers, shapes = qdq.constants(model), qdq.consumers(model), qdq.shapes(model)
    ends = {value.name for value in model.graph.output}
    for node in [node for node in model.graph.node if node.op_type == "MatMul"]:
        following = readers.get(node.output[0], [])
        weight = constants.get(node.input[qdq.WEIGHT_INPUT])
        if len(following) != 1 or following[0].op_type != "Add" or weight is None or len(weight.dims) != 2:
            continue
        add = following[0]
        bias = next((constants[name] for name in add.input if name in constants), None)
        leading = _leading(node, shapes)
        if bias is None or node.output[0] in ends or leading is None or not _is_one_a_channel(bias, weight.dims[1]):
            continue
        name = qdq.add_constant(model, f"{add.output[0]}/bias", numpy_helper.to_array(bias).reshape(-1))
        place = list(model.graph.node).index(node)
        model.graph.node.remove(node)
        model.graph.node.remove(add)
        made = _gemm(model, node, add, name, leading)
        for offset, each in enumerate(made):
            model.graph.node.insert(place + offset, each)


def _gemm(
    model: onnx.ModelProto, matmul: onnx.NodeProto, add: onnx.NodeProto, bias: str, leading: tuple[int, ...]
) -> list[onnx.NodeProto]:
    """The operators that replace `matmul` and `add`. `leading` are the dimensions between batch and features."""
    source, weight = matmul.input
    target, layer = add.output[0], matmul.doc_string
    if not leading:
        return [helper.make_node("Gemm", [source, weight, bias], [target], doc_string=layer)]
    inner, outer = (
        next(tensor for tensor in model.graph.initializer if tensor.name == weight).dims[axis] for axis in (0, 1)
    )
    flat = qdq.add_constant(model, f"{target}/flat", np.array([-1, inner]))
    shape = qdq.add_constant(model, f"{target}/shape", np.array([-1, *leading, outer]))
    return [
        helper.make_node("Reshape", [source, flat], [f"{target}/rows"]),
        helper.make_node("Gemm", [f"{target}/rows", weight, bias], [f"{target}/columns"], doc_string=layer),
        helper.make_node("Reshape", [f"{target}/columns", shape], [target]),
    ]


def _bias(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto], channels: int) -> np.ndarray | None:
    """One float32 value per channel (channels,); None if the Gemm adds nothing or something else."""
    if not qdq.has_bias(node) or node.input[qdq.BIAS_INPUT] not in constants:
        return None
    bias = numpy_helper.to_array(constants[node.input[qdq.BIAS_INPUT]])
    is_row = bias.size in (1, channels) and (bias.ndim < 2 or bias.shape[0] == 1)
    return np.broadcast_to(bias.reshape(-1), channels) if is_row else None


def _is_one_a_channel(bias: onnx.TensorProto, channels: int) -> bool:
    return len(bias.dims) >= 1 and bias.dims[-1] == channels and int(np.prod(bias.dims)) == channels


def _leading(node: onnx.NodeProto, shapes: Shapes) -> tuple[int, ...] | None:
    """The dimensions between batch and features of a MatMul's input; None if they are unknown."""
    shape = shapes.get(node.input[0])
    if shape is None or len(shape) < 2:
        return None
    known = [size for size in shape[1:-1] if size is not None]
    return tuple(known) if len(known) == len(shape) - 2 else None
