"""Which quantizers of a foreign network are accepted. Others are refused in one sentence that names them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from octavo.onnx_graph import external_tensors, qdq
from octavo.project.errors import ModelError

PAIR = ("QuantizeLinear", "DequantizeLinear")
KEPT = (TensorProto.INT8, TensorProto.UINT8)
STORED = (*KEPT, TensorProto.INT32)
"""Types of constants that are dequantized: weights, and biases."""
REMEDY = "Octavo keeps int8 and uint8 with fixed scales, one for a tensor or one for each channel. Export it so."


def check(model: onnx.ModelProto, path: Path) -> None:
    """Check the quantizers of a simplified graph, whose large initializers may be only declared.

    Raises:
        ModelError: one has another type than int8 or uint8, scales that are computed, in blocks or not positive; or the
            network quantizes only weights, so that no ranges were learned.
    """
    known = qdq.constants(model)
    pairs = [node for node in model.graph.node if node.op_type in PAIR]
    for node in pairs:
        for fault in _faults(node, known):
            where = node.doc_string or node.output[0]
            raise ModelError(f"{path} has {fault} at {node.op_type} {where}. {REMEDY}")
    if pairs and all(node.op_type != "QuantizeLinear" or node.input[0] in known for node in pairs):
        raise ModelError(f"{path} is quantized already: it has weights in integers. Give the float model of it.")


def _faults(node: onnx.NodeProto, known: Mapping[str, TensorProto]) -> Iterator[str]:
    given = [name for name in node.input[1:] if name]
    if any(name not in known for name in given):
        yield "a scale or zero point that is computed"
        return
    if qdq.attribute(node, "block_size", 0) or len(known[node.input[1]].dims) > 1:
        yield "scales in blocks"
    kind = _type(node, known)
    if kind not in (STORED if node.op_type == "DequantizeLinear" else KEPT):
        yield f"quantization to {TensorProto.DataType.Name(kind).lower()}"
    scale = known[node.input[1]]
    if scale.data_type != TensorProto.FLOAT:
        yield f"a scale in {TensorProto.DataType.Name(scale.data_type).lower()}"
    elif not external_tensors.is_declared(scale):
        values = numpy_helper.to_array(scale)
        if not (np.isfinite(values) & (values > 0)).all():
            yield "a scale that is not a positive number"


def _type(node: onnx.NodeProto, known: Mapping[str, TensorProto]) -> int:
    """Type of the integers, as `TensorProto.DataType`."""
    asked = int(qdq.attribute(node, "output_dtype", 0)) if node.op_type == "QuantizeLinear" else 0
    stored = [node.input[0]] if node.op_type == "DequantizeLinear" else []
    tensors = [known[name] for name in (*stored, *node.input[2:]) if name in known]
    return asked or (tensors[0].data_type if tensors else TensorProto.UINT8)
