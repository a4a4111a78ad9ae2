"""From a float network and ranges to integers: everything that has an integer kernel, and nothing by halves."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from octavo.backends.records import Proof
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize, qdq
from octavo.onnx_graph.integer_ranges import Range
from octavo.onnx_graph.rewrites import preparation
from octavo.quantization import bias_correction, calibration, ptq
from tests.octavo import onnx_graphs as graphs

node = helper.make_node
conv, head, relu = graphs.conv, graphs.head, graphs.relu

SQUARE = (4, 4, 3, 3)
FLOAT_ENDS = replace(ptq.ONNXRUNTIME, float_ends=True)


def conv_and_relu() -> onnx.ModelProto:
    return graphs.stack(2)


def conv_and_clip() -> onnx.ModelProto:
    nodes = [conv("x", "c"), node("Clip", ["c", "low", "high"], ["r"]), *head("r")]
    bounds = {"low": np.float32(0), "high": np.float32(6)}
    return graphs.network(nodes, graphs.parameters({"c": SQUARE}, 4) | {k: np.asarray(v) for k, v in bounds.items()})


def depthwise() -> onnx.ModelProto:
    nodes = [conv("x", "c"), relu("c", "r"), conv("r", "d", group=4), relu("d", "s"), *head("s")]
    return graphs.network(nodes, graphs.parameters({"c": SQUARE, "d": (4, 1, 3, 3)}, 4))


def residual() -> onnx.ModelProto:
    """With its ReLU behind the sum, as in the first ResNet."""
    nodes = [conv("x", "c"), relu("c", "r"), conv("r", "d"), node("Add", ["r", "d"], ["a"]), relu("a", "s"), *head("s")]
    return graphs.network(nodes, graphs.parameters({"c": SQUARE, "d": SQUARE}, 4))


def residual_behind_relu() -> onnx.ModelProto:
    """With its ReLU in front of the convolution, as in the second ResNet: the sum is read with and without it."""
    nodes = [conv("x", "c"), relu("c", "r"), conv("r", "d"), node("Add", ["c", "d"], ["a"]), relu("a", "s")]
    nodes += [conv("s", "e"), node("Add", ["a", "e"], ["b"]), *head("b")]
    return graphs.network(nodes, graphs.parameters({"c": SQUARE, "d": SQUARE, "e": SQUARE}, 4))


def relu_on_the_input() -> onnx.ModelProto:
    return graphs.network([relu("x", "r"), conv("r", "c"), *head("c")], graphs.parameters({"c": SQUARE}, 4))


def dense() -> onnx.ModelProto:
    nodes = [
        node("Reshape", ["x", "flat"], ["f"]),
        node("MatMul", ["f", "h_w"], ["m"]),
        node("Add", ["m", "h_b"], ["h"]),
    ]
    nodes += [relu("h", "row"), node("Gemm", ["row", "y_w", "y_b"], ["y"])]
    constants = graphs.parameters({}, 16) | {"h_w": graphs.drawn(256, 16), "h_b": graphs.drawn(1, 16).ravel()}
    return graphs.network(nodes, constants)


def one_layer() -> onnx.ModelProto:
    nodes = [node("Reshape", ["x", "flat"], ["row"]), node("Gemm", ["row", "y_w", "y_b"], ["y"])]
    return graphs.network(nodes, graphs.parameters({}, 256))


def without_bias() -> onnx.ModelProto:
    nodes = [conv("x", "c", bias=False), relu("c", "r"), *head("r")[:2], node("MatMul", ["row", "y_w"], ["y"])]
    constants = graphs.parameters({"c": SQUARE}, 4)
    return graphs.network(nodes, {name: constants[name] for name in ("flat", "c_w", "y_w")})


def pools_and_concat() -> onnx.ModelProto:
    nodes = [conv("x", "c"), node("LeakyRelu", ["c"], ["r"], alpha=0.1), node("Concat", ["r", "x"], ["m"], axis=1)]
    nodes += [node("AveragePool", ["m"], ["p"], kernel_shape=[2, 2], strides=[2, 2]), conv("p", "d"), relu("d", "s")]
    nodes += [node("MaxPool", ["s"], ["q"], kernel_shape=[2, 2], strides=[2, 2]), *head("q")]
    return graphs.network(nodes, graphs.parameters({"c": SQUARE, "d": (4, 8, 3, 3)}, 4))


def swish() -> onnx.ModelProto:
    """With x * sigmoid(x): onnxruntime has integer kernels for both."""
    nodes = [conv("x", "c"), node("Sigmoid", ["c"], ["g"]), node("Mul", ["c", "g"], ["r"]), conv("r", "d"), *head("d")]
    return graphs.network(nodes, graphs.parameters({"c": SQUARE, "d": SQUARE}, 4))


INTEGER = [
    conv_and_relu, conv_and_clip, depthwise, residual, residual_behind_relu, relu_on_the_input, dense, one_layer,
    without_bias, pools_and_concat, swish,
]  # fmt: skip


def min_max(model: onnx.ModelProto, images: np.ndarray | None = None) -> dict[str, Range]:
    images = graphs.images() if images is None else images
    seen = calibration.observe(model, ptq.points(model), images)
    return {name: calibration.min_max(each) for name, each in seen.items()}


def prove(model: onnx.ModelProto, folder: Path) -> Proof:
    """Of the file that recipes write."""
    path = folder / "model.onnx"
    canonicalize.save(model, path)
    return integer_coverage.prove(path)


def prove_by_name(model: onnx.ModelProto, folder: Path) -> Proof:
    """Of a file with this graph's own names."""
    path = folder / "named.onnx"
    onnx.save(model, path)
    return integer_coverage.prove(path)


def error(model: onnx.ModelProto, quantized: onnx.ModelProto, folder: Path) -> float:
    """Root mean square of what the logits are off by, relative to theirs."""
    wanted, got = (graphs.answers(each, folder, graphs.images()) for each in (model, quantized))
    return float(np.sqrt(np.mean((wanted - got) ** 2) / np.mean(wanted**2)))


@pytest.mark.parametrize("network", INTEGER)
@pytest.mark.parametrize("per_channel", [True, False])
def test_it_all_computes_in_integers(network: Callable[[], onnx.ModelProto], per_channel: bool, tmp_path: Path) -> None:
    model = network()
    quantized = ptq.quantize(model, min_max(model), per_channel=per_channel)
    shown = prove(quantized, tmp_path)
    assert (shown.integer_weight_share, shown.integer_compute_share, shown.float_nodes) == (1, 1, [])
    assert error(model, quantized, tmp_path) < 0.03


@pytest.mark.parametrize("network", INTEGER)
def test_logits_stay_unrounded_where_a_kernel_returns_floats(
    network: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    model = network()
    quantized = ptq.quantize(model, min_max(model), kernels=FLOAT_ENDS)
    assert qdq.producers(quantized)["y"].op_type in ("Gemm", "MatMul")
    assert qdq.consumers(quantized).get("y") is None
    assert len(np.unique(graphs.answers(quantized, tmp_path, graphs.images(200)))) > 256


@pytest.mark.parametrize("network", INTEGER)
def test_rounded_logits_are_off_by_half_a_step_at_most(network: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    """Compared with the same integers whose logits stay float."""
    model = network()
    rounded, exact = (ptq.quantize(model, min_max(model), kernels=each) for each in (ptq.ONNXRUNTIME, FLOAT_ENDS))
    last = qdq.producers(rounded)["y"]
    assert last.op_type == "DequantizeLinear"
    step = float(qdq.initializers(rounded)[last.input[1]])
    got, wanted = (graphs.answers(each, tmp_path, graphs.images()) for each in (rounded, exact))
    within = np.clip(wanted, got.min(), got.max())
    assert np.abs(got - within).max() < 0.501 * step
    assert np.abs(wanted - within).max() < 3 * step


@pytest.mark.parametrize("network", INTEGER)
def test_the_network_given_is_left_as_it_is(network: Callable[[], onnx.ModelProto]) -> None:
    model = network()
    before, ranges = model.SerializeToString(deterministic=True), min_max(model)
    ptq.quantize(model, ranges)
    bias_correction.correct(model, ranges, graphs.images())
    assert model.SerializeToString(deterministic=True) == before


def test_scales_by_channel_or_one_for_all() -> None:
    model = conv_and_relu()
    for per_channel in (True, False):
        constants = qdq.initializers(ptq.quantize(model, min_max(model), per_channel=per_channel))
        sizes = {layer: constants[f"{layer}_w/scale"].shape for layer in ("c0", "c1", "y")}
        assert sizes == ({"c0": (8,), "c1": (8,), "y": (3,)} if per_channel else dict.fromkeys(("c0", "c1", "y"), ()))
        assert {constants[f"{layer}_w/integers"].dtype for layer in sizes} == {np.dtype(np.int8)}


def test_weights_are_within_half_a_step() -> None:
    model = conv_and_relu()
    quantized = qdq.initializers(ptq.quantize(model, min_max(model)))
    scale = quantized["c1_w/scale"].reshape(-1, 1, 1, 1)
    off = quantized["c1_w/integers"] * scale - qdq.initializers(model)["c1_w"]
    assert (np.abs(off) <= 0.5001 * scale).all()


def operators(model: onnx.ModelProto) -> list[str]:
    return [each.op_type for each in model.graph.node]


def test_a_relu_goes_where_rounding_to_integers_clips() -> None:
    model = conv_and_relu()
    assert "Relu" not in operators(ptq.quantize(model, min_max(model)))
    assert operators(ptq.quantize(model, min_max(model), keep_clips=True)).count("Relu") == 2


def test_a_relu_stays_where_its_zero_point_is_above_zero(tmp_path: Path) -> None:
    model = conv_and_relu()
    ranges = min_max(model)
    ranges["r1"] = (-2.0, ranges["r1"][1])
    quantized = ptq.quantize(model, ranges)
    assert operators(quantized).count("Relu") == 1
    assert error(model, quantized, tmp_path) < 0.03


def test_a_clip_stays_where_its_range_is_wider(tmp_path: Path) -> None:
    model = conv_and_clip()
    assert "Clip" not in operators(ptq.quantize(model, min_max(model) | {"r": (0.0, 6.0)}))
    bright = 20 * graphs.images(100)
    wide = ptq.quantize(model, min_max(model, bright) | {"r": (0.0, 20.0)})
    assert "Clip" in operators(wide)
    wanted, got = (graphs.answers(each, tmp_path, bright) for each in (model, wide))
    assert np.abs(wanted - got).max() < 0.1 * np.abs(wanted).max()


@pytest.mark.parametrize(
    "left",
    [["c0"], ["c0", "c1"], ["c1", "c2"], ["y"], ["c1"], ["c2"]],
)
def test_layers_left_in_float_are_named_by_the_proof(left: list[str], tmp_path: Path) -> None:
    """A convolution goes by the name of the ReLU that is fused into it; the mean of what is float is float, too."""
    model = graphs.stack(3)
    assert ptq.layers(model) == ["c0", "c1", "c2", "y"]
    quantized = ptq.quantize(model, min_max(model), left=left)
    shown = prove_by_name(quantized, tmp_path)
    named = [each.name.replace("r", "c") for each in shown.float_nodes if each.operator != "Clip"]
    assert named == left + ["pooled"] * ("c2" in left)
    assert 0 < (shown.integer_compute_share or 0) < 1
    assert 0 < (shown.integer_weight_share or 0) < 1
    assert error(model, quantized, tmp_path) < 0.03


@pytest.mark.parametrize("pooled", [False, True])
def test_with_all_layers_left_it_is_the_float_network(pooled: bool, tmp_path: Path) -> None:
    model = graphs.stack(2, pooled=pooled)
    quantized = ptq.quantize(model, min_max(model), left=ptq.layers(model))
    assert prove(quantized, tmp_path).integer_weight_share == 0
    assert error(model, quantized, tmp_path) == 0


def test_fewer_layers_in_integers_are_nearer_to_the_float_network(tmp_path: Path) -> None:
    model = graphs.stack(3)
    layers = ptq.layers(model)
    errors = [error(model, ptq.quantize(model, min_max(model), left=layers[:n]), tmp_path) for n in (0, 2, 4)]
    assert errors == sorted(errors, reverse=True)


def tanh() -> onnx.ModelProto:
    nodes = [conv("x", "c"), node("Tanh", ["c"], ["t"]), conv("t", "d"), relu("d", "r"), *head("r")]
    return graphs.network(nodes, graphs.parameters({"c": SQUARE, "d": SQUARE}, 4))


def transposed() -> onnx.ModelProto:
    nodes = [conv("x", "c"), relu("c", "r"), node("ConvTranspose", ["r", "t_w", "t_b"], ["t"], strides=[2, 2])]
    return graphs.network([*nodes, relu("t", "s"), *head("s")], graphs.parameters({"c": SQUARE, "t": SQUARE}, 4))


@pytest.mark.parametrize(("network", "name", "operator"), [(tanh, "t", "Tanh"), (transposed, "t", "ConvTranspose")])
def test_what_has_no_integer_kernel_stays_float_by_name(
    network: Callable[[], onnx.ModelProto], name: str, operator: str, tmp_path: Path
) -> None:
    model = network()
    quantized = ptq.quantize(model, min_max(model))
    qdq.producers(quantized)[name].doc_string = "a_layer"
    shown = prove(quantized, tmp_path)
    assert [each.name for each in shown.float_nodes if each.operator == operator] == ["a_layer"]
    assert (shown.integer_compute_share or 0) > 0.3
    assert error(model, quantized, tmp_path) < 0.03


def test_a_layer_used_twice_is_stored_once(tmp_path: Path) -> None:
    nodes = [conv("x", "c"), relu("c", "r"), node("Conv", ["r", "c_w", "c_b"], ["d"], pads=[1, 1, 1, 1]), *head("d")]
    model = graphs.network(nodes, graphs.parameters({"c": SQUARE}, 4))
    assert prove(ptq.quantize(model, min_max(model)), tmp_path).integer_compute_share == 1


def test_weights_that_lie_transposed_are_turned(tmp_path: Path) -> None:
    model = conv_and_relu()
    wanted = graphs.answers(model, tmp_path, graphs.images())
    for tensor in model.graph.initializer:
        if tensor.name == "y_w":
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(tensor).T), "y_w"))
    qdq.producers(model)["y"].attribute.append(helper.make_attribute("transB", 1))
    preparation.prepare(model)
    np.testing.assert_array_equal(graphs.answers(model, tmp_path, graphs.images()), wanted)
    quantized = ptq.quantize(model, min_max(model))
    assert prove(quantized, tmp_path).integer_compute_share == 1
    assert error(model, quantized, tmp_path) < 0.03


def test_flatten_hands_integers_on(tmp_path: Path) -> None:
    nodes = [conv("x", "c"), relu("c", "r"), node("Flatten", ["r"], ["row"]), head("r")[2]]
    model = graphs.network(nodes, graphs.parameters({"c": SQUARE}, 256))
    assert prove(ptq.quantize(model, min_max(model)), tmp_path).float_nodes == []


def means(model: onnx.ModelProto, layers: list[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """Mean output of each layer, channel by channel."""
    (values,) = calibration.run(model, layers, images)
    return {name: value.mean((0, *range(2, value.ndim))) for name, value in values.items()}


def test_bias_correction_brings_every_layers_mean_nearer() -> None:
    model, images = graphs.stack(4), graphs.images(calibration.BATCH)
    layers, ranges = ptq.layers(model), min_max(model, images)
    corrected = bias_correction.correct(model, ranges, images, per_channel=False)
    wanted = means(model, layers, images)
    plain, mended = (
        means(ptq.quantize(each, ranges, per_channel=False, keep_clips=True), layers, images)
        for each in (model, corrected)
    )
    for layer in layers:
        before, after = (np.abs(got[layer] - wanted[layer]).max() for got in (plain, mended))
        assert after < 0.2 * before, layer


def test_bias_correction_leaves_float_layers_and_weights_alone() -> None:
    model = graphs.stack(3)
    corrected = bias_correction.correct(model, min_max(model), graphs.images(), left=["c1"])
    same = {
        name
        for name, array in qdq.initializers(corrected).items()
        if np.array_equal(array, qdq.initializers(model)[name])
    }
    assert {"c1_b", "c0_w", "c1_w", "c2_w", "y_w"} <= same
    assert same.isdisjoint({"c0_b", "c2_b", "y_b"})


def test_the_same_inputs_give_the_same_bytes() -> None:
    model = residual()

    def content() -> bytes:
        corrected = bias_correction.correct(model, min_max(model), graphs.images())
        return canonicalize.canonical(ptq.quantize(corrected, min_max(model))).SerializeToString(deterministic=True)

    assert content() == content()


def test_biases_stay_float_but_for_those_of_float_logits() -> None:
    """The bias of a layer with rounded output is rounded by onnxruntime; the other layers need it in integers."""
    model = graphs.stack(1)
    for kernels, logits in ((ptq.ONNXRUNTIME, "y_b"), (FLOAT_ENDS, "y_b/integers")):
        types = {
            tensor.name: numpy_helper.to_array(tensor).dtype
            for tensor in ptq.quantize(model, min_max(model), kernels=kernels).graph.initializer
        }
        biases = {name: kind for name, kind in types.items() if "_b" in name and not name.endswith(("scale", "zero"))}
        assert biases == {"c0_b": np.float32, logits: np.int32 if kernels is FLOAT_ENDS else np.float32}


def test_an_average_whose_size_is_rounded_up_divides_as_in_float(tmp_path: Path) -> None:
    """The last windows reach beyond the image. onnxruntime's integer kernel would divide them by too much."""
    pool: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1}
    nodes = [graphs.conv("x", "c0"), helper.make_node("AveragePool", ["c0"], ["p"], **pool)]
    nodes += [graphs.conv("p", "c1"), helper.make_node("Reshape", ["c1", "flat"], ["row"]), graphs.head("p")[-1]]
    shapes = {"c0": (8, 4, 3, 3), "c1": (8, 8, 3, 3)}
    model = graphs.network(nodes, graphs.parameters(shapes, 8 * 4 * 4))
    assert error(model, ptq.quantize(model, min_max(model)), tmp_path) < 0.03
