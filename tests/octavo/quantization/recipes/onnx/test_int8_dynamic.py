"""Dynamic INT8: any dense layers, with onnxruntime's fused kernel, and files that can be loaded."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from tests.octavo import onnx_graphs as graphs
from tests.octavo.quantization.recipes.conftest import Make
from tests.octavo.quantization.recipes.onnx.test_int8_static import FLAT, dense, weights

node = helper.make_node


def mlp(widths: tuple[int, ...]) -> onnx.ModelProto:
    nodes, last, sizes = [FLAT], "f", {}
    for place, pair in enumerate(zip((256, *widths), (*widths, 3), strict=False)):
        name = "y" if place == len(widths) else f"d{place}"
        sizes[name] = pair
        nodes += dense(last, name)
        if name != "y":
            nodes.append(graphs.relu(name, f"r{place}"))
            last = f"r{place}"
    return graphs.unprepared(nodes, weights(**sizes))


@pytest.mark.parametrize("widths", [(32, 32), (3, 3), (1, 1, 1)])
def test_layers_of_one_width_load(widths: tuple[int, ...], make: Make) -> None:
    made = make("onnx_int8_dynamic", mlp(widths), graphs.images(100))
    assert made.error < 0.03
    assert (made.proof.integer_weight_share, made.proof.integer_compute_share) == (1, 1)


def test_a_dense_layer_is_one_kernel(make: Make) -> None:
    made = make("onnx_int8_dynamic", mlp((32,)), graphs.images(100))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(made.path.with_name("optimized.onnx"))
    onnxruntime.InferenceSession(made.path, options, providers=["CPUExecutionProvider"])
    operators = [each.op_type for each in onnx.load(options.optimized_model_filepath).graph.node]
    assert operators == ["Reshape", "DynamicQuantizeMatMul", "Relu", "DynamicQuantizeMatMul"]


def test_sequences_and_layers_without_bias(make: Make) -> None:
    sizes = {"steps": np.array([-1, 32, 8]), "flat": np.array([0, -1])}
    nodes = [node("Reshape", ["x", "steps"], ["t"]), node("MatMul", ["t", "a_w"], ["a"]), node("Tanh", ["a"], ["r"])]
    nodes += [node("Reshape", ["r", "flat"], ["g"]), *dense("g", "y")]
    model = graphs.unprepared(nodes, weights(a=(8, 6), y=(192, 3)) | sizes)
    made = make("onnx_int8_dynamic", model, graphs.images(100))
    assert made.proof.integer_compute_share == 1
    assert made.error < 0.05
