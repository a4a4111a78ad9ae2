"""What training leaves behind beside learned ranges: near-dead channels, and layers whose weights it did not round."""

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.octavo import onnx_graphs as graphs
from tests.octavo.quantization.recipes.conftest import Make

node = helper.make_node


def pair(source: str, target: str) -> list[onnx.NodeProto]:
    parameters = [f"{target}_s", "zero"]
    return [
        node("QuantizeLinear", [source, *parameters], [f"{target}_q"]),
        node("DequantizeLinear", [f"{target}_q", *parameters], [target]),
    ]


def learned(rounded: bool = True, dead: float = 1) -> onnx.ModelProto:
    """A convolution and outputs with learned ranges, as the export of such a network looks.

    Args:
        rounded: whether the weights of the convolution were fake-quantized.
        dead: factor of the weights of two channels, whose biases are as large as ever.
    """
    rng = np.random.default_rng(0)
    steps = rng.integers(-127, 128, (8, 4, 3, 3)) + (0 if rounded else rng.uniform(-0.4, 0.4, (8, 4, 3, 3)))
    steps[:, 0, 0, 0] = 127
    scale = np.where(np.arange(8) < 2, dead, 1).reshape(8, 1, 1, 1) * 0.002
    constants: dict[str, np.ndarray] = {
        "c_w": (steps * scale).astype(np.float32),
        "c_b": np.linspace(1, 2, 8, dtype=np.float32),
        "y_w": (rng.integers(-127, 128, (512, 3)) * 0.002).astype(np.float32),
        "y_b": np.linspace(-1, 1, 3, dtype=np.float32),
        "zero": np.array(0, np.uint8),
        "flat": np.array([0, -1]),
        "sides": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "i_s": np.array(1 / 255, np.float32),
        "r_s": np.array(0.03, np.float32),
    }
    nodes = [*pair("x", "i"), node("Pad", ["i", "sides"], ["p"]), node("Conv", ["p", "c_w", "c_b"], ["c"])]
    nodes += [graphs.relu("c", "a"), *pair("a", "r"), node("Reshape", ["r", "flat"], ["f"])]
    nodes += [node("MatMul", ["f", "y_w"], ["m"]), node("Add", ["m", "y_b"], ["y"])]
    model = graphs.unprepared(nodes, constants)
    model.metadata_props.add(key="session.disable_quant_qdq", value="1")
    return model


@pytest.mark.parametrize("dead", [1, 1e-9, 1e-12])
def test_near_dead_channels_keep_their_biases(dead: float, make: Make) -> None:
    images = np.random.default_rng(1).random((100, 4, 8, 8), dtype=np.float32)
    made = make("onnx_int8_qat", learned(dead=dead), images)
    assert made.error < 0.01
    assert made.proof.integer_compute_share == 1


def test_weights_that_training_did_not_round_are_integers_too(make: Make) -> None:
    images = np.random.default_rng(1).random((100, 4, 8, 8), dtype=np.float32)
    made = make("onnx_int8_qat", learned(rounded=False), images)
    assert (made.proof.integer_weight_share, made.proof.integer_compute_share) == (1, 1)
    assert made.error < 0.02


def rounded(source: str, target: str, features: int) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """A dense layer with learned weights."""
    rng = np.random.default_rng(features)
    constants = {
        f"{target}_w": (rng.integers(-127, 128, (features, 8)) * 0.004).astype(np.float32),
        f"{target}_b": rng.normal(0, 0.1, 8).astype(np.float32),
    }
    nodes = [node("MatMul", [source, f"{target}_w"], [f"{target}_m"])]
    return [*nodes, node("Add", [f"{target}_m", f"{target}_b"], [target])], constants


@pytest.mark.parametrize("activation", ["Tanh", "Sigmoid"])
def test_layers_that_lack_a_range_get_that_of_the_images(activation: str, make: Make) -> None:
    """Training rounds in front of such an activation only, so that the layer behind it reads floats."""
    first, constants = rounded("f", "a", 256)
    second, more = rounded("t", "y", 8)
    nodes = [*pair("x", "i"), node("Reshape", ["i", "flat"], ["f"]), *first, *pair("a", "r")]
    nodes += [node(activation, ["r"], ["t"]), *second]
    constants |= more | {"flat": np.array([0, -1]), "i_s": np.array(1 / 255, np.float32)}
    constants |= {"zero": np.array(0, np.uint8), "r_s": np.array(0.02, np.float32)}
    model = graphs.unprepared(nodes, constants, result=(8,))
    model.metadata_props.add(key="session.disable_quant_qdq", value="1")
    made = make("onnx_int8_qat", model, np.random.default_rng(1).random((100, 4, 8, 8), dtype=np.float32))
    assert (made.proof.integer_weight_share, made.proof.integer_compute_share) == (1, 1)
    assert made.error < 0.02


def test_layers_before_a_concat_compute_in_integers(make: Make) -> None:
    """Training rounds behind it; the same grid in front of it gives the same values."""
    rng = np.random.default_rng(0)
    constants: dict[str, np.ndarray] = {"zero": np.array(0, np.uint8), "flat": np.array([0, -1])}
    nodes = pair("x", "i")
    for name in "cd":
        nodes += [node("Conv", ["i", f"{name}_w", f"{name}_b"], [name]), graphs.relu(name, f"{name}_r")]
        constants[f"{name}_w"] = (rng.integers(-127, 128, (4, 4, 3, 3)) * 0.002).astype(np.float32)
        constants[f"{name}_b"] = np.linspace(-1, 1, 4, dtype=np.float32)
    last, more = rounded("f", "y", 288)
    nodes += [node("Concat", ["c_r", "d_r"], ["j"], axis=1), *pair("j", "k"), node("Reshape", ["k", "flat"], ["f"])]
    constants |= more | {"i_s": np.array(1 / 255, np.float32), "k_s": np.array(0.03, np.float32)}
    model = graphs.unprepared([*nodes, *last], constants, result=(8,))
    model.metadata_props.add(key="session.disable_quant_qdq", value="1")
    made = make("onnx_int8_qat", model, np.random.default_rng(1).random((100, 4, 8, 8), dtype=np.float32))
    assert made.proof.float_nodes == []
    assert made.proof.integer_compute_share == 1
    assert made.error < 0.01
