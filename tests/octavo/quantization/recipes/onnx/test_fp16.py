"""FP16 for what FP16 can hold."""

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.octavo import onnx_graphs as graphs
from tests.octavo.quantization.recipes.conftest import Make

node = helper.make_node


def normalizing_each_image(epsilon: float) -> onnx.ModelProto:
    """Each image less its mean, over its deviation: `epsilon` alone stands between a flat image and 0 / 0."""
    nodes = [node("ReduceMean", ["x"], ["m"], axes=[1, 2, 3]), node("Sub", ["x", "m"], ["d"])]
    nodes += [node("Mul", ["d", "d"], ["s"]), node("ReduceMean", ["s"], ["v"], axes=[1, 2, 3])]
    nodes += [node("Add", ["v", "e"], ["a"]), node("Sqrt", ["a"], ["q"]), node("Div", ["d", "q"], ["n"])]
    nodes += [graphs.conv("n", "c"), graphs.relu("c", "r"), *graphs.head("r")]
    constants = graphs.parameters({"c": (4, 4, 3, 3)}, 4)
    return graphs.unprepared(nodes, constants | {"e": np.array(epsilon, np.float32)})


@pytest.mark.parametrize("epsilon", [1e-12, 1e-6, 1e-3])
def test_flat_images_have_answers(epsilon: float, make: Make) -> None:
    images = graphs.images(20)
    images[:5] = 0.5
    made = make("onnx_fp16", normalizing_each_image(epsilon), images)
    assert np.isfinite(made.got).all()
    assert made.error < 0.01
    assert made.proof.integer_weight_share == 0


@pytest.mark.parametrize("factor", [1e-9, 1e-6, 1e5])
def test_what_leaves_its_range_stays_in_fp32(factor: float, make: Make) -> None:
    """A channel scaled away and back again."""
    constants = graphs.parameters({"c": (4, 4, 3, 3)}, 4)
    scale = np.array([1, 1, factor, 1], np.float32).reshape(4, 1, 1)
    constants["c_w"][2] *= factor
    constants["c_b"][2] *= factor
    nodes = [graphs.conv("x", "c"), graphs.relu("c", "r"), node("Div", ["r", "s"], ["t"]), *graphs.head("t")]
    made = make("onnx_fp16", graphs.unprepared(nodes, constants | {"s": scale}), graphs.images(50))
    assert made.error < 0.002


def test_weights_take_two_bytes(make: Make) -> None:
    made = make("onnx_fp16", graphs.stack(3), graphs.images(10))
    stored = {tensor.data_type for tensor in onnx.load(made.path).graph.initializer if len(tensor.dims) > 1}
    assert stored == {onnx.TensorProto.FLOAT16}
