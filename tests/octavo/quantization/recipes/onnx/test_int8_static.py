"""Static INT8 of networks as users have them: shared layers, tiny channels, dense layers before anything."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from tests.octavo import onnx_graphs as graphs
from tests.octavo.quantization.recipes.conftest import Make

node = helper.make_node
FLAT = node("Reshape", ["x", "flat"], ["f"])


def dense(source: str, target: str, weights: str = "", bias: str = "") -> list[onnx.NodeProto]:
    return [
        node("MatMul", [source, weights or f"{target}_w"], [f"{target}_m"]),
        node("Add", [f"{target}_m", bias or f"{target}_b"], [target]),
    ]


def weights(**sizes: tuple[int, int]) -> dict[str, np.ndarray]:
    """Of dense layers by name, biases included, and the shape that flattens images."""
    made = {"flat": np.array([0, -1])}
    for seed, (name, size) in enumerate(sizes.items()):
        made |= {f"{name}_w": graphs.drawn(*size, seed=seed), f"{name}_b": graphs.drawn(1, size[1], seed=seed).ravel()}
    return made


def shared_layer(copies: bool) -> onnx.ModelProto:
    """One dense layer used twice, far apart in size, the second time for the outputs; or two of equal values."""
    nodes = [FLAT, *dense("f", "a"), *dense("a", "b"), graphs.relu("b", "r"), node("Mul", ["r", "five"], ["s"])]
    nodes += dense("s", "y", "" if copies else "b_w", "" if copies else "b_b")
    constants = weights(a=(256, 10), b=(10, 10)) | {"five": np.array(5, np.float32)}
    constants |= {"y_w": constants["b_w"] * np.float32(1.000001), "y_b": constants["b_b"]} if copies else {}
    return graphs.unprepared(nodes, constants, result=(10,))


@pytest.mark.parametrize("bias_correction", [False, True])
def test_a_shared_layer_is_as_exact_as_two(bias_correction: bool, make: Make) -> None:
    shared, apart = (
        make("onnx_int8_static", shared_layer(copies), graphs.images(100), bias_correction=bias_correction)
        for copies in (False, True)
    )
    assert shared.error < 0.02
    assert shared.error < 1.2 * apart.error
    assert shared.path.stat().st_size <= apart.path.stat().st_size


def test_equal_biases_of_different_layers_are_rounded_for_each(make: Make) -> None:
    half = {"half": np.full(12, 0.5, np.float32)}
    nodes = [FLAT, *dense("f", "a", bias="half"), graphs.relu("a", "r"), *dense("r", "y", bias="half")]
    constants = weights(a=(256, 12), y=(12, 12)) | half
    constants["y_w"] *= 50
    assert make("onnx_int8_static", graphs.unprepared(nodes, constants, result=(12,)), graphs.images(100)).error < 0.02


@pytest.mark.parametrize("size", [1e-9, 1e-38, 0])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("round_output", [True, False])
def test_a_channel_of_tiny_weights_keeps_its_bias(
    size: float, per_channel: bool, round_output: bool, make: Make
) -> None:
    """As weight decay leaves a channel that is never right, in a convolution and before the outputs."""
    constants = graphs.parameters({"c": (4, 4, 3, 3)}, 4)
    constants["c_w"][:2] *= size
    constants["c_b"][:2] = [2, 3]
    constants["y_w"][:, 0] *= size
    constants["y_b"][0] = 3
    model = graphs.unprepared([graphs.conv("x", "c"), graphs.relu("c", "r"), *graphs.head("r")], constants)
    made = make("onnx_int8_static", model, graphs.images(100), per_channel=per_channel, round_output=round_output)
    assert made.error < 0.03
    half_a_step = output_step(made.path) / 2 if round_output else 0
    assert np.abs(made.got[:, 0] - made.wanted[:, 0]).max() < half_a_step + 1e-5


def output_step(path: Path) -> float:
    """The scale of a file's outputs."""
    model = onnx.load(path)
    last = qdq.producers(model)[model.graph.output[0].name]
    assert last.op_type == "DequantizeLinear"
    return float(qdq.initializers(model)[last.input[1]])


def test_outputs_are_rounded_to_256_steps_unless_they_are_to_stay_float(make: Make) -> None:
    """Rounding moves an output by half a step at most, but for the largest, which earlier rounding made larger."""
    model, images = graphs.stack(2, classes=10), graphs.images(400)
    kept: dict[str, Any] = {"method": "min_max", "bias_correction": False}
    made = make("onnx_int8_static", model, images, **kept)
    step = output_step(made.path)
    codes = made.got / step
    assert np.abs(codes - np.rint(codes)).max() < 1e-3
    assert np.ptp(codes) < 256
    exact = make("onnx_int8_static", model, images, **kept, round_output=False)
    assert len(np.unique(exact.got)) > 256
    within = np.clip(exact.got, made.got.min(), made.got.max())
    assert np.abs(made.got - within).max() < 0.501 * step
    assert np.abs(made.got - exact.got).max() < 2 * step
    assert exact.error < made.error


ENDS = {
    "Tanh": [node("Tanh", ["a"], ["r"])],
    "Sigmoid": [node("Sigmoid", ["a"], ["r"])],
    "Elu": [node("Elu", ["a"], ["r"])],
    "Softplus": [node("Softplus", ["a"], ["r"])],
    "Softmax": [node("Softmax", ["a"], ["r"])],
    "two readers": [node("Tanh", ["a"], ["t"]), node("Mul", ["a", "t"], ["r"])],
}


@pytest.mark.parametrize("end", ENDS)
def test_a_dense_layer_computes_in_integers_whatever_follows(end: str, make: Make) -> None:
    nodes = [FLAT, *dense("f", "a"), *ENDS[end], *dense("r", "y")]
    made = make("onnx_int8_static", graphs.unprepared(nodes, weights(a=(256, 16), y=(16, 3))), graphs.images(100))
    assert (made.proof.integer_weight_share, made.proof.integer_compute_share) == (1, 1)
    assert {each.operator for each in made.proof.float_nodes} <= {each.op_type for each in ENDS[end]}
    assert made.error < 0.05


def test_two_added_heads_compute_in_integers(make: Make) -> None:
    nodes = [FLAT, *dense("f", "a"), graphs.relu("a", "r"), *dense("r", "b"), *dense("f", "c")]
    nodes += [node("Add", ["b", "c"], ["y"])]
    model = graphs.unprepared(nodes, weights(a=(256, 16), b=(16, 3), c=(256, 3)))
    made = make("onnx_int8_static", model, graphs.images(100))
    assert made.proof.integer_compute_share == 1
    assert made.error < 0.03


def sequences() -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """Images as (N, 32, 8), and a dense layer on each of the 32 places."""
    shapes = {"steps": np.array([-1, 32, 8]), "flat": np.array([0, -1])}
    return [node("Reshape", ["x", "steps"], ["t"]), *dense("t", "a")], weights(a=(8, 8), y=(256, 3)) | shapes


def test_bias_correction_counts_places(make: Make) -> None:
    nodes, constants = sequences()
    nodes += [graphs.relu("a", "r"), node("Reshape", ["r", "flat"], ["g"]), *dense("g", "y")]
    model, images = graphs.unprepared(nodes, constants), graphs.images(100)
    plain, corrected = (make("onnx_int8_static", model, images, bias_correction=each) for each in (False, True))
    assert corrected.error < 1.1 * plain.error


def test_products_of_activations_compute_in_integers(make: Make) -> None:
    """As in attention: each place looks at every other."""
    nodes, constants = sequences()
    nodes += [node("Transpose", ["a"], ["b"], perm=[0, 2, 1]), node("MatMul", ["a", "b"], ["s"])]
    nodes += [node("Softmax", ["s"], ["p"], axis=-1), node("MatMul", ["p", "a"], ["r"])]
    nodes += [node("Reshape", ["r", "flat"], ["g"]), *dense("g", "y")]
    made = make("onnx_int8_static", graphs.unprepared(nodes, constants), graphs.images(100))
    assert made.proof.integer_weight_share == 1
    assert {each.operator for each in made.proof.float_nodes} == {"Softmax"}
    assert made.error < 0.05


def test_what_is_joined_is_copied(make: Make) -> None:
    """Three branches of other ranges, joined: with one grid for all, integers are not rounded anew."""
    nodes, names = [], "cde"
    for name in names:
        nodes += [graphs.conv("x", name), graphs.relu(name, f"{name}_r")]
    nodes += [node("Concat", [f"{name}_r" for name in names], ["j"], axis=1), *graphs.head("j")]
    constants = graphs.parameters(dict.fromkeys(names, (4, 4, 3, 3)), 12)
    constants["d_w"] *= 2
    made = make("onnx_int8_static", graphs.unprepared(nodes, constants), graphs.images(100))
    assert made.proof.float_nodes == []
    scales = qdq.initializers(onnx.load(made.path))
    joined = next(each for each in onnx.load(made.path).graph.node if each.op_type == "Concat")
    makers = qdq.producers(onnx.load(made.path))
    assert len({float(scales[makers[name].input[1]]) for name in joined.input}) == 1
    assert made.error < 0.03


def test_batch_normalization_on_its_own_computes_in_integers(make: Make) -> None:
    """Before its convolution, as in the second ResNet: no layer can take it over."""
    statistics = {name: graphs.drawn(1, 4, seed=seed).ravel() for seed, name in enumerate(("beta", "mean"))}
    statistics |= {
        name: np.abs(graphs.drawn(1, 4, seed=seed)).ravel() + 1 for seed, name in enumerate(("gamma", "var"))
    }
    nodes = [graphs.conv("x", "c"), node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["n"])]
    nodes += [graphs.relu("n", "r"), graphs.conv("r", "d"), node("Add", ["c", "d"], ["a"]), *graphs.head("a")]
    constants = graphs.parameters({"c": (4, 4, 3, 3), "d": (4, 4, 3, 3)}, 4) | statistics
    made = make("onnx_int8_static", graphs.unprepared(nodes, constants), graphs.images(100))
    assert made.proof.float_nodes == []
    assert made.error < 0.03


def test_a_volume_computes_in_float_over_integer_weights(make: Make) -> None:
    """Its integer kernel takes six times FP32's time."""
    nodes = [graphs.conv("x", "c"), graphs.relu("c", "r"), node("Reshape", ["r", "volume"], ["v"])]
    nodes += [node("Conv", ["v", "k", "k_b"], ["w"], kernel_shape=[3, 3, 3]), graphs.relu("w", "s")]
    nodes += [node("Reshape", ["s", "flat"], ["row"]), node("Gemm", ["row", "y_w", "y_b"], ["y"])]
    constants = graphs.parameters({"c": (4, 4, 3, 3)}, 6 * 2 * 2 * 6)
    kernel = {"k": np.random.default_rng(0).normal(0, 0.2, (6, 1, 3, 3, 3)).astype(np.float32)}
    kernel |= {"k_b": np.linspace(-1, 1, 6, dtype=np.float32), "volume": np.array([-1, 1, 4, 8, 8])}
    constants["y_w"] = graphs.drawn(6 * 2 * 6 * 6, 3)
    made = make("onnx_int8_static", graphs.unprepared(nodes, constants | kernel), graphs.images(100))
    assert made.proof.integer_weight_share == 1
    assert 0 < (made.proof.integer_compute_share or 0) < 1
    assert made.error < 0.03


def test_channels_that_hardly_vary_keep_their_means(make: Make) -> None:
    """Rounding shifts the mean of each output by some of its own step; where little else happens, that is all."""
    images = (100 + graphs.images(100)).astype(np.float32)
    plain, corrected = (
        make("onnx_int8_static", graphs.stack(3), images, bias_correction=each).error for each in (False, True)
    )
    assert corrected < plain / 2
    assert make("onnx_int8_static", graphs.stack(3), images).error == corrected


def test_weights_of_a_transposed_convolution_are_integers(make: Make) -> None:
    """Onnxruntime has no integer kernel for it; the float weights are there once the file is loaded."""
    nodes = [graphs.conv("x", "c"), graphs.relu("c", "r")]
    nodes += [
        node("ConvTranspose", ["r", "t_w", "t_b"], ["t"], strides=[2, 2]),
        graphs.relu("t", "s"),
        *graphs.head("s"),
    ]
    constants = graphs.parameters({"c": (4, 4, 3, 3), "t": (4, 6, 3, 3)}, 6)
    constants["t_b"] = graphs.drawn(1, 6).ravel()
    made = make("onnx_int8_static", graphs.unprepared(nodes, constants), graphs.images(100))
    assert made.proof.integer_weight_share == 1
    assert "ConvTranspose" in [each.operator for each in made.proof.float_nodes]
    assert made.error < 0.03


def test_near_dead_channels_survive_equalization(make: Make) -> None:
    """Their weights alone say that they could be scaled up by 1e9, and their biases with them."""
    constants = graphs.parameters({"c": (4, 4, 3, 3), "d": (4, 4, 3, 3)}, 4)
    constants["c_w"][:2] *= 1e-9
    constants["c_b"][:2] = [5, 2]
    nodes = [
        graphs.conv("x", "c"),
        graphs.relu("c", "r"),
        graphs.conv("r", "d"),
        graphs.relu("d", "s"),
        *graphs.head("s"),
    ]
    model = graphs.unprepared(nodes, constants)
    plain, equalized = (make("onnx_int8_static", model, graphs.images(100), equalize=each) for each in (False, True))
    assert equalized.error < 1.5 * plain.error


@pytest.mark.parametrize("low_high", [(-1, 1), (0, 255)])
def test_bytes_do_not_stand_for_floats_outside_0_to_1(
    low_high: tuple[float, float], make: Make, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).uniform(*low_high, (50, 4, 8, 8)).astype(np.float32)
    with pytest.raises(ModelError, match=r"float in 0\.\.1; these run from .*Remove the option take_bytes"):
        make("onnx_int8_static", graphs.stack(1), images, take_bytes=True)
    assert not (tmp_path / "onnx_int8_static.onnx").exists()


def test_an_activation_that_is_not_finite_is_refused_by_name(make: Make) -> None:
    nodes = [graphs.conv("x", "c"), node("Log", ["c"], ["l"]), *graphs.head("l")]
    model = graphs.unprepared(nodes, graphs.parameters({"c": (4, 4, 3, 3)}, 4))
    with pytest.raises(ModelError, match="not finite on calibration images"):
        make("onnx_int8_static", model, graphs.images(100))
