"""Small float networks in ONNX, put together by hand: one operator or two, and what recipes make of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octavo.backends.registry import open_model
from octavo.onnx_graph import qdq
from octavo.onnx_graph.rewrites import preparation
from octavo.quantization import calibration


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal float32 values, scaled so that a layer with these weights keeps its input's size."""
    fan_in = int(np.prod(shape[1:])) if len(shape) == 4 else shape[0]
    return (np.random.default_rng([seed, *shape]).normal(size=shape) * (2 / fan_in) ** 0.5).astype(np.float32)


def network(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, np.ndarray],
    image: tuple[int, ...] = (4, 8, 8),
    result: tuple[int, ...] = (3,),
) -> onnx.ModelProto:
    """A network from `x`, images of that shape, to `y`, prepared as recipes do it: MatMul + Add is Gemm."""
    model = unprepared(nodes, constants, image, result)
    preparation.prepare(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def unprepared(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, np.ndarray],
    image: tuple[int, ...] = (4, 8, 8),
    result: tuple[int, ...] = (3,),
) -> onnx.ModelProto:
    """A network from `x`, images of that shape, to `y`, as it was exported."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        for name, shape in (("x", image), ("y", result))
    ]
    parameters = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], parameters),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=10,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def conv(source: str, target: str, bias: bool = True, group: int = 1) -> onnx.NodeProto:
    """A 3x3 convolution with weights `<target>_w` and bias `<target>_b`; the image keeps its size."""
    inputs = [source, f"{target}_w", *([f"{target}_b"] if bias else [])]
    return helper.make_node("Conv", inputs, [target], pads=[1, 1, 1, 1], group=group)


def head(source: str) -> list[onnx.NodeProto]:
    """Mean over the image, then logits `y` with weights `y_w` and bias `y_b`."""
    return [
        helper.make_node("GlobalAveragePool", [source], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "flat"], ["row"]),
        helper.make_node("Gemm", ["row", "y_w", "y_b"], ["y"]),
    ]


def parameters(channels: Mapping[str, tuple[int, ...]], features: int, classes: int = 3) -> dict[str, np.ndarray]:
    """Weights and biases of convolutions of those weight shapes, and of the `head` on so many features."""
    made = {"flat": np.array([0, -1])}
    for seed, (name, shape) in enumerate(channels.items()):
        made |= {f"{name}_w": drawn(*shape, seed=seed), f"{name}_b": drawn(1, shape[0], seed=seed).ravel() / 4}
    return made | {"y_w": drawn(features, classes), "y_b": drawn(1, classes).ravel()}


def stack(depth: int, classes: int = 3, pooled: bool = True) -> onnx.ModelProto:
    """`depth` convolutions with ReLUs, `c0`, `r0`, `c1` and so on, and logits, of the mean or of all values.

    No class is the rule.
    """
    nodes = []
    for place in range(depth):
        nodes += [conv(f"r{place - 1}" if place else "x", f"c{place}"), relu(f"c{place}", f"r{place}")]
    shapes = {f"c{place}": (8, 8 if place else 4, 3, 3) for place in range(depth)}
    last = f"r{depth - 1}"
    nodes += head(last) if pooled else [helper.make_node("Reshape", [last, "flat"], ["row"]), head(last)[-1]]
    model = network(nodes, parameters(shapes, 8 if pooled else 8 * 8 * 8, classes), result=(classes,))
    (bias,) = [tensor for tensor in model.graph.initializer if tensor.name == "y_b"]
    (values,) = calibration.run(model, ["y"], images(calibration.BATCH))
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) - values["y"].mean(0), "y_b"))
    return model


def relu(source: str, target: str) -> onnx.NodeProto:
    return helper.make_node("Relu", [source], [target])


def plant_outliers(model: onnx.ModelProto, first: str, second: str, factor: float = 1000) -> None:
    """Scale channel 0 of convolution `first` up, and what `second` makes of it down: the function is unchanged."""
    makers, constants = qdq.producers(model), qdq.initializers(model)
    weights, bias = makers[first].input[1:3]
    after = makers[second].input[1]
    changed = {name: constants[name].copy() for name in (weights, bias, after)}
    changed[weights][0] *= factor
    changed[bias][0] *= factor
    changed[after][:, 0] /= factor
    for tensor in model.graph.initializer:
        if tensor.name in changed:
            tensor.CopyFrom(numpy_helper.from_array(changed[tensor.name], tensor.name))


def images(n: int = 64, image: tuple[int, ...] = (4, 8, 8)) -> np.ndarray:
    """Float32 images, smooth and each of another brightness."""
    rng = np.random.default_rng(n)
    return (rng.normal(size=(n, image[0], 1, 1)) + rng.normal(size=(n, *image)) / 2).astype(np.float32)


def answers(model: onnx.ModelProto, folder: Path, batch: np.ndarray) -> np.ndarray:
    """What the network makes of `batch`."""
    path = folder / "answers.onnx"
    onnx.save(model, path)
    return open_model(path)(batch)
