"""What integers cut off is counted from the file, whatever made it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from octavo.data.splits import Samples, Split
from octavo.onnx_graph import canonicalize, qdq
from octavo.onnx_graph.rewrites import equalization
from octavo.quantization import calibration, clipping, ptq, recipes
from tests.octavo import onnx_graphs as graphs

SAMPLES = Samples(graphs.images(), Split(graphs.images(), np.zeros(64, np.int64)))
WEIGHTS = 8 * 4 * 9 + 8 * 8 * 9 + 8 * 3


def quantized(model: onnx.ModelProto) -> onnx.ModelProto:
    seen = calibration.observe(model, ptq.points(model), graphs.images())
    return ptq.quantize(model, {name: calibration.min_max(each) for name, each in seen.items()})


def count(file: onnx.ModelProto, network: onnx.ModelProto, folder: Path) -> clipping.Clips:
    canonicalize.save(file, folder / "file/model.onnx")
    canonicalize.save(network, folder / "network/model.onnx")
    return clipping.count(folder / "file/model.onnx", folder / "network/model.onnx")


def change(model: onnx.ModelProto, name: str, values: np.ndarray) -> None:
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
    tensor.CopyFrom(numpy_helper.from_array(values.astype(numpy_helper.to_array(tensor).dtype), name))


@pytest.mark.parametrize(
    "recipe", ["onnx_fp32", "onnx_fp16", "onnx_int8_dynamic", "onnx_int8_weight_only", "onnx_int8_static"]
)
def test_recipes_cut_off_nothing_and_every_weight_is_found(recipe: str, tmp_path: Path) -> None:
    canonicalize.save(graphs.stack(2), tmp_path / "model.onnx")
    options = {"equalize": True} if recipe == "onnx_int8_static" else {}
    figures = recipes.quantize(recipe, tmp_path, tmp_path / "made/model.onnx", SAMPLES, options)
    assert (figures.clipped_biases, figures.clipped_weights, figures.unmatched_weights) == (0, 0, 0)


@settings(max_examples=10)
@given(shrunk=st.sampled_from([2, 4, 8]), layer=st.sampled_from(["c0_w", "c1_w", "y_w"]))
def test_weights_beyond_the_range_of_their_scale_are_counted(
    shrunk: int, layer: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With a scale that many times too small, all beyond a part of the largest are cut off."""
    network = graphs.stack(2)
    file = quantized(network)
    weights, scale = (qdq.initializers(model)[name] for model, name in ((network, layer), (file, f"{layer}/scale")))
    small = scale / shrunk
    shaped = small.reshape(-1, 1, 1, 1) if weights.ndim == 4 else small
    steps = weights / shaped
    change(file, f"{layer}/scale", small)
    change(file, f"{layer}/integers", np.clip(np.rint(steps), -127, 127))
    found = count(file, network, tmp_path_factory.mktemp("clipped"))
    assert found == clipping.Clips(biases=0, weights=int((np.abs(steps) > 127.51).sum()), unmatched=0)
    assert found.weights > 0


def test_a_layer_made_of_other_weights_is_unknown(tmp_path: Path) -> None:
    network = graphs.stack(2)
    other = graphs.stack(2)
    change(other, "c1_w", graphs.drawn(8, 8, 3, 3, seed=9))
    assert count(quantized(other), network, tmp_path) == clipping.Clips(biases=0, weights=0, unmatched=8 * 8 * 9)


def test_equalized_weights_are_found(tmp_path: Path) -> None:
    network = graphs.stack(3)
    assert count(quantized(equalization.equalize(network)), network, tmp_path).unmatched == 0


@pytest.mark.parametrize(("bias", "lost"), [(0.5, 0), (-3e3, 1), (3e3, 1)])
def test_a_float_bias_that_leaves_int32_where_onnxruntime_rounds_it_is_counted(
    bias: float, lost: int, tmp_path: Path
) -> None:
    """At a channel of tiny weights; a bias of 0.5 still fits there."""
    network = graphs.stack(2)
    weights, biases = (qdq.initializers(network)[name].copy() for name in ("c0_w", "c0_b"))
    weights[0] *= 1e-5
    biases[0] = bias
    change(network, "c0_w", weights)
    change(network, "c0_b", biases)
    file = quantized(network)
    scale = qdq.initializers(file)["c0_w/scale"]
    change(file, "c0_w/scale", np.where(np.arange(8) == 0, weights[0].max() / 127, scale))
    change(file, "c0_b", biases)
    assert count(file, network, tmp_path).biases == lost


def test_a_stored_bias_at_an_end_of_int32_is_counted(tmp_path: Path) -> None:
    network = graphs.stack(1)
    file = quantized(network)
    qdq.insert_dequantized(file, "c0_b", qdq.Grid(np.full(8, 2**31 - 1, np.int32), np.ones(8, np.float32), 0))
    assert count(file, network, tmp_path).biases == 8


def test_weights_of_integer_operators_are_counted(tmp_path: Path) -> None:
    """QLinearMatMul reads integers without a DequantizeLinear in front of them."""
    weights = graphs.drawn(16, 3)
    scale = np.float32(np.abs(weights).max() / 254)
    step, middle = np.array(0.1, np.float32), np.array(128, np.uint8)
    constants: dict[str, np.ndarray] = {
        "xs": step,
        "xz": middle,
        "ys": step,
        "yz": middle,
        "ws": np.asarray(scale),
        "wz": np.array(0, np.int8),
    }
    constants["w"] = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        helper.make_node("QLinearMatMul", ["q", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["p"]),
        helper.make_node("DequantizeLinear", ["p", "ys", "yz"], ["y"]),
    ]
    file = graphs.network(nodes, constants, image=(16,))
    network = graphs.network([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weights}, image=(16,))
    lost = int((np.abs(weights / scale) > 127.51).sum())
    assert count(file, network, tmp_path) == clipping.Clips(biases=0, weights=lost, unmatched=0)
    assert lost
