"""The first step of recipes on a float ONNX graph: one operator per layer, each with constants of its own."""

from collections import Counter

import onnx

from octavo.onnx_graph import qdq
from octavo.onnx_graph.rewrites import constant_folding, gemm_fusion, hard_sigmoid, linear_folding, static_reshapes


def prepare(model: onnx.ModelProto) -> None:
    """Write dense layers as Gemm, fold neighbours into layers, and give each layer its own constants.

    Changes `model` in place. It computes the same, up to the rounding of folded constants.
    """
    constant_folding.fold(model)
    static_reshapes.fix(model)
    gemm_fusion.normalize(model)
    gemm_fusion.fuse(model)
    linear_folding.fold(model)
    hard_sigmoid.fuse(model)
    _part(model)
    _drop_unread(model)


def _part(model: onnx.ModelProto) -> None:
    """Give each layer weights and a bias that nothing else reads, because another layer may need other integers."""
    known = qdq.constants(model)
    left = Counter(name for node in model.graph.node for name in qdq.reads(node))
    for node in model.graph.node:
        for place in (qdq.WEIGHT_INPUT, qdq.BIAS_INPUT):
            name = node.input[place] if node.op_type in qdq.OUTPUT_AXIS and place < len(node.input) else ""
            if name in known and left[name] > 1:
                left[name] -= 1
                copy = onnx.TensorProto()
                copy.CopyFrom(known[name])
                copy.name = f"{name}/{node.output[0]}/{place}"
                model.graph.initializer.append(copy)
                node.input[place] = copy.name


def _drop_unread(model: onnx.ModelProto) -> None:
    read = {name for node in model.graph.node for name in qdq.reads(node)}
    read |= {value.name for value in model.graph.output}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in read]:
        model.graph.initializer.remove(tensor)
