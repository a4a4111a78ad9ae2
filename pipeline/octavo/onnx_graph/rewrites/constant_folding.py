"""Compute operators with constant inputs once. Converters leave weights behind a Transpose or a Reshape."""

import math

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from octavo.onnx_graph import qdq

KEPT = ("DequantizeLinear", "QuantizeLinear")
"""Operators that say how a constant is stored."""
RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
GROWTH = 2**16
"""Bytes by which a folded value may exceed its inputs. An Expand of a scalar to a large array is kept."""


def fold(model: onnx.ModelProto) -> None:
    """Replace operators that read only constants by their results, in place."""
    known, ends = qdq.constants(model), {value.name for value in model.graph.output}
    for node in list(model.graph.node):
        inputs = [name for name in node.input if name]
        if not inputs or any(name not in known for name in inputs) or not ends.isdisjoint(node.output):
            continue
        if node.op_type in (*KEPT, *RANDOM) or node.domain or any(True for _ in qdq.subgraphs(node)):
            continue
        values = _computed(node, {name: numpy_helper.to_array(known[name]) for name in inputs}, model)
        if sum(value.nbytes for value in values) > sum(_size(known[name]) for name in inputs) + GROWTH:
            continue
        model.graph.node.remove(node)
        for name, value in zip(node.output, values, strict=True):
            model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
            known[name] = model.graph.initializer[-1]


def _computed(node: onnx.NodeProto, inputs: dict[str, np.ndarray], model: onnx.ModelProto) -> list[np.ndarray]:
    sources, targets = (
        [helper.make_empty_tensor_value_info(name) for name in names] for names in (list(inputs), list(node.output))
    )
    graph = helper.make_graph([node], "constant", sources, targets)
    alone = helper.make_model(graph, opset_imports=model.opset_import)
    return [np.asarray(value) for value in ReferenceEvaluator(alone).run(None, inputs)]


def _size(tensor: onnx.TensorProto) -> int:
    return math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
