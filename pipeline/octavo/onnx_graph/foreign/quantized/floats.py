"""The same network in float: what was stored in integers as float32, and activations still rounded."""

import onnx

from octavo.onnx_graph import qdq, session_options
from octavo.onnx_graph.canonicalize import drop_unread
from octavo.onnx_graph.foreign.quantized import biases, stored


def dequantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with float32 constants, bit for bit those that its DequantizeLinear operators give.

    It asks onnxruntime to run it as it is written. Otherwise onnxruntime would round the float weights once more.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    arrays = qdq.initializers(model)
    for name, node in stored.dequantized_constants(made).items():
        made.graph.node.remove(node)
        qdq.add_constant(made, name, biases.real(node, arrays))
    drop_unread(made.graph)
    ask(made)
    return made


def ask(model: onnx.ModelProto) -> None:
    """Ask onnxruntime to run a network with rounded activations as it is written, in place."""
    session_options.ask(model, session_options.RUN_IN_FLOAT)
    session_options.ask(model, session_options.AS_WRITTEN)
