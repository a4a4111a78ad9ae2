"""Sums of two products that leave 16 bits are found where they are, and counted."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from octavo.backends.onnxruntime import inspection as reader
from octavo.backends.onnxruntime import saturation
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize, qdq

ONE, ZERO = np.array(1, np.float32), np.array(0, np.uint8)


def layer(operator: str, weights: np.ndarray, shape: list[int], **attributes: Any) -> onnx.ModelProto:
    """One operator between integers at scale 1; weights (int8) at scale 1."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["qx"]),
        helper.make_node("DequantizeLinear", ["qx", "one", "zero"], ["dx"]),
        helper.make_node(operator, ["dx", "w"], ["c"], **attributes),
        helper.make_node("QuantizeLinear", ["c", "one", "zero"], ["qc"]),
        helper.make_node("DequantizeLinear", ["qc", "one", "zero"], ["y"]),
    ]
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])
    target = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * (len(shape) + 1))
    parameters: dict[str, np.ndarray] = {"one": ONE, "zero": ZERO, "w": weights.astype(np.float32)}
    stored = [numpy_helper.from_array(array, name) for name, array in parameters.items()]
    graph = helper.make_graph(nodes, "g", [source], [target], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    qdq.insert_dequantized(model, "w", qdq.Grid(weights, ONE, None))
    return model


def measured(model: onnx.ModelProto, images: np.ndarray, folder: Path) -> list[tuple[float, float]]:
    path = folder / "model.onnx"
    canonicalize.save(model, path)
    return [(risk.possible, risk.share) for risk in saturation.measure(path, images)]


def test_only_neighbours_that_reach_beyond_16_bits_count(tmp_path: Path) -> None:
    """Of the pairs (0, 1) and (2, 3) of two channels, one in four can saturate, and does so for one image of two."""
    weights = np.array([[127, 127], [127, -127], [127, 1], [1, 127]], np.int8)
    images = np.array([[255, 255, 255, 255], [100, 100, 255, 255]], np.float32)
    assert measured(layer("MatMul", weights, [4]), images, tmp_path) == [(1 / 4, 1 / 8)]


def test_what_cannot_saturate_is_not_listed(tmp_path: Path) -> None:
    weights = np.full((4, 2), 64, np.int8)
    assert measured(layer("MatMul", weights, [4]), np.full((1, 4), 255, np.float32), tmp_path) == []


@pytest.mark.parametrize(("pixels", "channels", "listed"), [((1, 2), 1, True), ((1, 1), 2, True), ((1, 2), 2, False)])
def test_neighbours_in_a_convolution_are_channels_and_then_pixels(
    pixels: tuple[int, int], channels: int, listed: bool, tmp_path: Path
) -> None:
    """Large weights for the first channel of each pixel are neighbours only where there is no second channel."""
    weights = np.zeros((2, channels, *pixels), np.int8)
    weights[0, :, 0, 0] = 127
    weights[0, 0] = 127
    weights[0, 1:] = 127 if pixels == (1, 1) else 0
    images = np.full((1, channels, 1, 2), 255, np.float32)
    assert bool(measured(layer("Conv", weights, [channels, 1, 2]), images, tmp_path)) is listed


def test_activations_lie_as_weights_do(tmp_path: Path) -> None:
    """All weights can saturate, but beside every large activation stands a small one: the other channel's."""
    images = np.zeros((1, 2, 1, 2), np.float32)
    images[:, 0] = 255
    model = layer("Conv", np.full((1, 2, 1, 2), 127, np.int8), [2, 1, 2])
    assert measured(model, images, tmp_path) == [(1, 0)]


def test_padding_counts_as_zero_point(tmp_path: Path) -> None:
    """Of two places of the kernel of two pixels, padded by one, only the middle one has both."""
    model = layer("Conv", np.full((2, 1, 1, 2), 127, np.int8), [1, 1, 2], pads=[0, 1, 0, 1])
    assert measured(model, np.full((1, 1, 1, 2), 255, np.float32), tmp_path) == [(1, 1 / 3)]


def test_pixels_that_a_kernel_skips_are_no_neighbours(tmp_path: Path) -> None:
    images = np.array([255, 0, 0, 255, 255], np.float32).reshape(1, 1, 1, 5)
    model = layer("Conv", np.full((2, 1, 1, 2), 127, np.int8), [1, 1, 5], dilations=[1, 3])
    assert measured(model, images, tmp_path) == [(1, 1 / 2)]


@pytest.mark.parametrize("size", [(2,), (2, 1), (1, 2, 1)])
def test_depthwise_convolutions_widen_first_unless_a_channel_gives_two(size: tuple[int, ...], tmp_path: Path) -> None:
    images = np.full((1, 2, *size), 255, np.float32)
    plain = layer("Conv", np.full((2, 1, *size), 127, np.int8), [2, *size], group=2)
    assert measured(plain, images, tmp_path) == []
    twice = layer("Conv", np.full((4, 1, *size), 127, np.int8), [2, *size], group=2)
    assert measured(twice, images, tmp_path) == [(1, 1), (1, 1)]


def test_a_convolution_from_one_channel_to_one_widens_first(tmp_path: Path) -> None:
    model = layer("Conv", np.full((1, 1, 1, 2), 127, np.int8), [1, 1, 2])
    assert measured(model, np.full((1, 1, 1, 2), 255, np.float32), tmp_path) == []


def test_layers_that_quantize_their_input_at_every_call_count(tmp_path: Path) -> None:
    """The largest value is 255 on the grid of the moment; of the pairs (0, 1) and (2, 3) one has it twice."""
    names = ["q", "scale", "zero"]
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], names),
        helper.make_node("MatMulInteger", ["q", "w", "zero", "none"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["scale", "one"], ["both"]),
        helper.make_node("Mul", ["real", "both"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in (("x", 4), ("y", 1))]
    stored = {"w": np.full((4, 1), 127, np.int8), "none": np.zeros(1, np.int8), "one": np.ones(1, np.float32)}
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert "DynamicQuantizeMatMul" in optimized_operators(model, tmp_path)
    assert measured(model, np.array([[1, 1, -1, 0]], np.float32), tmp_path) == [(1, 1 / 2)]


def optimized_operators(model: onnx.ModelProto, folder: Path) -> set[str]:
    canonicalize.save(model, folder / "model.onnx")
    return {node.op_type for node in reader.optimized(folder / "model.onnx").graph.node}


def test_the_proof_has_it_where_there_are_images(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    canonicalize.save(layer("MatMul", np.full((2, 1), 127, np.int8), [2]), path)
    assert integer_coverage.prove(path).saturation is None
    (risk,) = integer_coverage.prove(path, np.full((1, 2), 255, np.float32)).saturation or []
    assert risk.share == 1
