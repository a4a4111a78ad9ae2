"""Which value of a graph is what a layer gives.

Layers bear the names that `export` gave them, kept in `layers.json` beside the file. What a layer gives is looked at
behind the ReLU and the rounding that alone read it: a quantized file may leave clipping to rounding.
"""

from collections.abc import Mapping

import onnx

from octavo.onnx_graph import qdq

STILL = (*qdq.MOVERS, "Cast", "DequantizeLinear", "Identity", "QuantizeLinear")
"""Operators that compute nothing: a layer of these alone has no error of its own."""


def outputs(model: onnx.ModelProto) -> dict[str, str]:
    """Layer -> the value that it gives."""
    readers = qdq.consumers(model)
    computing = {node.doc_string for node in model.graph.node if node.doc_string and node.op_type not in STILL}
    return {
        node.doc_string: _behind(node.output[0], readers) for node in model.graph.node if node.doc_string in computing
    }


def _behind(value: str, readers: Mapping[str, list[onnx.NodeProto]]) -> str:
    """What becomes of `value` in the ReLU and the rounding that alone read it."""
    following = readers.get(value, [])
    if len(following) == 1 and following[0].op_type == "QuantizeLinear":
        back = readers.get(following[0].output[0], [])
        return _behind(back[0].output[0], readers) if len(back) == 1 else value
    if len(following) == 1 and following[0].op_type in qdq.CLIPS:
        return _behind(following[0].output[0], readers)
    return value
