"""What training leaves behind beside learned ranges: near-dead channels, and layers whose weights it did not round."""

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.pipeline import onnx_graphs as graphs
from tests.pipeline.recipes.conftest import Make

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
    made = make("qat_int8", learned(dead=dead), images)
    assert made.error < 0.01
    assert made.proof.integer_compute_share == 1


def test_weights_that_training_did_not_round_are_integers_too(make: Make) -> None:
    images = np.random.default_rng(1).random((100, 4, 8, 8), dtype=np.float32)
    made = make("qat_int8", learned(rounded=False), images)
    assert (made.proof.integer_weight_share, made.proof.integer_compute_share) == (1, 1)
    assert made.error < 0.02
