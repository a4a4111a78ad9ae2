"""Networks as other programs write them, put together with onnx alone."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IMAGE = (3, 8, 8)
CLASSES = 5
Size = int | str
node = helper.make_node


def drawn(*shape: int) -> np.ndarray:
    values = np.random.default_rng(shape).normal(size=shape) / math.prod(shape[1:]) ** 0.5
    return values.astype(np.float32)


def examples(n: int = 40, image: tuple[int, ...] = IMAGE) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, *image)).astype(np.float32)


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, np.ndarray],
    batch: Size = "N",
    image: tuple[int, ...] = IMAGE,
    opset: int = 17,
    ends: tuple[str, str] = ("input", "output"),
) -> onnx.ModelProto:
    """A network from the first to the second of `ends`."""
    graph = helper.make_graph(
        nodes,
        "main_graph",
        [helper.make_tensor_value_info(ends[0], TensorProto.FLOAT, [batch, *image])],
        [helper.make_tensor_value_info(ends[1], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def classifier(
    batch: Size = "N", opset: int = 17, ends: tuple[str, str] = ("input", "output"), listed: bool = False
) -> onnx.ModelProto:
    """Convolution, batch normalization, pooling, a shape chain, Gemm with transB, and leftovers of training."""
    nodes = [
        node("Conv", [ends[0], "features.0.weight", "features.0.bias"], ["c"], pads=[1] * 4, name="/features/0/Conv"),
        node("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["bn"]),
        node("Relu", ["bn"], ["r"]),
        node("Identity", ["r"], ["r2"]),
        node("MaxPool", ["r2"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Constant", [], ["first"], value=numpy_helper.from_array(np.array(0))),
        node("Constant", [], ["rest"], value=numpy_helper.from_array(np.array([-1]))),
        node("Shape", ["p"], ["s"]),
        node("Gather", ["s", "first"], ["n"], axis=0),
        node("Reshape", ["n", "one"], ["n1"]),
        node("Concat", ["n1", "rest"], ["target"], axis=0),
        node("Reshape", ["p", "target" if isinstance(batch, str) else "fixed"], ["f"]),
        node("Dropout", ["f"], ["d", "mask"]),
        node("Gemm", ["d", "classifier.weight", "classifier.bias"], ["l"], transB=1, name="/classifier/Gemm"),
        node("Softmax", ["l"], ["probabilities"], axis=1),
        node("Identity", ["probabilities"], [ends[1]]),
    ]
    constants = {
        "features.0.weight": drawn(6, 3, 3, 3),
        "features.0.bias": drawn(6),
        "scale": np.abs(drawn(6)) + 1,
        "shift": drawn(6),
        "mean": drawn(6),
        "var": np.abs(drawn(6)) + 1,
        "one": np.array([1]),
        "fixed": np.array([batch if isinstance(batch, int) else -1, 96]),
        "classifier.weight": drawn(CLASSES, 96),
        "classifier.bias": drawn(CLASSES),
    }
    made = model(nodes, constants, batch, opset=opset, ends=ends)
    if listed:
        made.ir_version = 3
        made.graph.input.extend(
            helper.make_tensor_value_info(each.name, each.data_type, list(each.dims)) for each in made.graph.initializer
        )
    return made


def dense(*before: onnx.NodeProto, result: str = "output", **constants: np.ndarray) -> onnx.ModelProto:
    """Operators from `input` to `x`, then one dense layer on all values of `x`."""
    nodes = [*before, node("Flatten", ["x"], ["flat"]), node("MatMul", ["flat", "weight"], [result])]
    return model(nodes, {"weight": drawn(192, CLASSES), **constants})
