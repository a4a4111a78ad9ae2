"""The weights, biases and scales of a LiteRT file, put into the ONNX graph of the same network."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from ai_edge_litert.interpreter import Interpreter
from onnx import helper, numpy_helper

from octavo.onnx_graph import qdq
from tests.integer_reference import along

TO_ONNX = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2), "FULLY_CONNECTED": (1, 0)}
"""By operator the axes of its weights in ONNX's order."""


@dataclass(frozen=True)
class Layer:
    weights: np.ndarray
    scale: np.ndarray
    bias: np.ndarray
    axis: int

    def real(self) -> np.ndarray:
        return self.weights * along(self.scale, self.axis, self.weights.ndim)


def with_litert_parameters(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """`model` with LiteRT's integers and scales in each layer, and every sum rounded at the learned scale."""
    constants, makers = qdq.initializers(model), qdq.producers(model)
    layers = list(_layers(path))
    for node in [node for node in model.graph.node if node.op_type in qdq.INTEGER_KERNELS]:
        integers, scale = (constants[name] for name in makers[node.input[1]].input[:2])
        axis = qdq.OUTPUT_AXIS[node.op_type]
        real = integers * along(scale, axis, integers.ndim)
        (layer,) = [layer for layer in layers if _same(layer.real(), real)]
        parts = {"weights": (layer.weights, layer.scale), "bias": (layer.bias, np.ones((), np.float32))}
        for place, (part, (array, step)) in enumerate(parts.items(), 1):
            names = [f"{node.output[0]}/{part}", f"{node.output[0]}/{part}/scale"]
            model.graph.initializer.extend(map(numpy_helper.from_array, (array, step), names))
            node.input[place] = f"{names[0]}/real"
            model.graph.node.insert(
                0, helper.make_node("DequantizeLinear", names, [node.input[place]], axis=axis % array.ndim)
            )
    for node in [node for node in model.graph.node if node.op_type == "DequantizeLinear"]:
        if node.input[0] in makers:
            makers[node.input[0]].input[1] = node.input[1]
    return model


def _layers(path: Path) -> Iterator[Layer]:
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    for operator in interpreter._get_ops_details():
        if operator["op_name"] in TO_ONNX:
            weights, bias = operator["inputs"][1:3]
            scale = details[weights]["quantization_parameters"]["scales"]
            yield Layer(
                interpreter.get_tensor(weights).transpose(TO_ONNX[operator["op_name"]]),
                scale if len(scale) > 1 else scale[0],
                interpreter.get_tensor(bias),
                1 if operator["op_name"] == "FULLY_CONNECTED" else 0,
            )


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-5, atol=0))
