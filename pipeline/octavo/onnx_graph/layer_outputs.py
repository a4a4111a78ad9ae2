"""Find the value of a graph that is a layer's output.

Layers have the names that `export` gave them; `layers.json` next to the file stores them. If only a ReLU or a rounding
reads a layer's output, the value after it is used, because in a quantized file the rounding may do the clipping.
"""

from collections.abc import Mapping

import onnx

from octavo.onnx_graph import qdq

STILL = (*qdq.MOVERS, "Cast", "DequantizeLinear", "Identity", "QuantizeLinear")
"""Operators that compute nothing. A layer with only these has no error of its own."""


def outputs(model: onnx.ModelProto) -> dict[str, str]:
    """Layer -> name of the value that is its output."""
    readers = qdq.consumers(model)
    computing = {node.doc_string for node in model.graph.node if node.doc_string and node.op_type not in STILL}
    return {
        node.doc_string: _behind(node.output[0], readers) for node in model.graph.node if node.doc_string in computing
    }


def _behind(value: str, readers: Mapping[str, list[onnx.NodeProto]]) -> str:
    """The value after the ReLU and the rounding, if nothing else reads `value`."""
    following = readers.get(value, [])
    if len(following) == 1 and following[0].op_type == "QuantizeLinear":
        back = readers.get(following[0].output[0], [])
        return _behind(back[0].output[0], readers) if len(back) == 1 else value
    if len(following) == 1 and following[0].op_type in qdq.CLIPS:
        return _behind(following[0].output[0], readers)
    return value
