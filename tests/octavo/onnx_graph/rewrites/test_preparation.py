"""A prepared graph computes what it did, with as few operators as can be, and no constant is read by two layers."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize, qdq
from octavo.onnx_graph.rewrites import preparation
from octavo.quantization import calibration, ptq
from tests.octavo import onnx_graphs as graphs

node = helper.make_node
rng = np.random.default_rng(0)


def vector(n: int, *trailing: int, seed: int = 0) -> np.ndarray:
    """Factors or shifts as after training: none is 0 or 1."""
    return np.random.default_rng([seed, n]).uniform(0.5, 2, (n, *trailing)).astype(np.float32)


NORMALIZATION = {
    "gamma": vector(6),
    "beta": vector(6, seed=1) - 1,
    "mean": vector(6, seed=2) - 1,
    "variance": vector(6, seed=3),
}
DENSE = {"w": graphs.drawn(256, 6), "b": vector(6, seed=4) - 1, "flat": np.array([0, -1])}
KERNEL = {"k": graphs.drawn(6, 4, 3, 3), "b": vector(6, seed=4) - 1}
FLAT = node("Reshape", ["x", "flat"], ["f"])
Graph = tuple[Sequence[onnx.NodeProto], dict[str, np.ndarray], tuple[int, ...]]


def dense_and_batch_normalization() -> Graph:
    nodes = [FLAT, node("MatMul", ["f", "w"], ["m"]), node("Add", ["m", "b"], ["a"])]
    nodes += [node("BatchNormalization", ["a", *NORMALIZATION], ["y"], epsilon=0.01)]
    return nodes, DENSE | NORMALIZATION, (6,)


def dense_scaled_and_shifted_from_all_sides() -> Graph:
    nodes = [
        FLAT,
        node("MatMul", ["f", "w"], ["m"]),
        node("Mul", ["gamma", "m"], ["s"]),
        node("Add", ["b", "s"], ["a"]),
    ]
    nodes += [
        node("Sub", ["beta", "a"], ["t"]),
        node("Div", ["t", "variance"], ["d"]),
        node("Sub", ["d", "mean"], ["y"]),
    ]
    return nodes, DENSE | NORMALIZATION, (6,)


def dense_on_sequences() -> Graph:
    """As converters write a dense layer over (N, 32, 8) with batch normalization behind it."""
    sizes = {"rows": np.array([-1, 8]), "back": np.array([-1, 32, 6]), "steps": np.array([-1, 32, 8])}
    nodes = [node("Reshape", ["x", "steps"], ["t"]), node("Reshape", ["t", "rows"], ["r"])]
    nodes += [node("MatMul", ["r", "w"], ["m"]), node("Reshape", ["m", "back"], ["c"]), node("Add", ["c", "b"], ["a"])]
    nodes += [node("Mul", ["a", "gamma"], ["s"]), node("Add", ["s", "beta"], ["n"]), graphs.relu("n", "y")]
    return nodes, DENSE | NORMALIZATION | sizes | {"w": graphs.drawn(8, 6)}, (32, 6)


def dense_of_three_dimensions() -> Graph:
    nodes = [node("Reshape", ["x", "steps"], ["t"]), node("MatMul", ["t", "w"], ["m"]), node("Add", ["m", "b"], ["y"])]
    return nodes, DENSE | {"w": graphs.drawn(8, 6), "steps": np.array([-1, 32, 8])}, (32, 6)


def dense_of_three_dimensions_behind_a_computed_shape() -> Graph:
    """As converters write Flatten and Reshape: the batch is read from the input, all else is known."""
    nodes = [node("Shape", ["x"], ["s"], end=1), node("Concat", ["s", "rest"], ["steps"], axis=0)]
    nodes += dense_of_three_dimensions()[0]
    return nodes, DENSE | {"w": graphs.drawn(8, 6), "rest": np.array([32, 8])}, (32, 6)


def gemm_with_factors() -> Graph:
    nodes = [FLAT, node("Gemm", ["f", "w", "b"], ["y"], alpha=0.5, beta=3.0, transB=1)]
    return nodes, DENSE | {"w": np.ascontiguousarray(DENSE["w"].T), "b": DENSE["b"].reshape(1, 6)}, (6,)


def gemm_with_one_bias_for_all() -> Graph:
    return [FLAT, node("Gemm", ["f", "w", "b"], ["y"])], DENSE | {"b": np.array([0.5], np.float32)}, (6,)


def convolution_normalized_by_hand() -> Graph:
    nodes = [node("Conv", ["x", "k"], ["c"]), node("Sub", ["c", "mean"], ["s"]), node("Mul", ["s", "gamma"], ["m"])]
    nodes += [node("Add", ["m", "beta"], ["a"]), graphs.relu("a", "y")]
    return nodes, KERNEL | {name: array.reshape(1, 6, 1, 1) for name, array in NORMALIZATION.items()}, (6, 6, 6)


def convolution_and_bias_behind_a_transpose() -> Graph:
    nodes = [node("Conv", ["x", "k", "b"], ["c"]), node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1])]
    nodes += [node("Mul", ["t", "gamma"], ["s"]), node("Add", ["s", "beta"], ["a"]), graphs.relu("a", "y")]
    return nodes, KERNEL | NORMALIZATION, (6, 6, 6)


def one_dimensional_convolution() -> Graph:
    """As converters write it: an image of height 1, its height squeezed away before bias, normalization and ReLU."""
    sizes = {"signal": np.array([-1, 4, 1, 64]), "height": np.array([2])}
    nodes = [node("Reshape", ["x", "signal"], ["i"]), node("Conv", ["i", "k"], ["c"])]
    nodes += [
        node("Squeeze", ["c", "height"], ["q"]),
        node("Add", ["q", "b"], ["a"]),
        node("Mul", ["a", "gamma"], ["s"]),
    ]
    nodes += [graphs.relu("s", "y")]
    column = {"b": KERNEL["b"].reshape(6, 1), "gamma": NORMALIZATION["gamma"].reshape(1, 6, 1)}
    return nodes, sizes | column | {"k": graphs.drawn(6, 4, 1, 3)}, (6, 62)


def grouped_transposed_convolution() -> Graph:
    nodes = [node("ConvTranspose", ["x", "k"], ["c"], group=2, strides=[2, 2], kernel_shape=[2, 2])]
    nodes += [node("BatchNormalization", ["c", *NORMALIZATION], ["y"])]
    return nodes, NORMALIZATION | {"k": graphs.drawn(4, 3, 2, 2)}, (6, 16, 16)


def padding_before_a_convolution() -> Graph:
    sides = {"sides": np.array([0, 0, 1, 2, 0, 0, 0, 1])}
    nodes = [node("Pad", ["x", "sides"], ["p"]), node("Conv", ["p", "k", "b"], ["y"], pads=[1, 0, 0, 0])]
    return nodes, KERNEL | sides, (6, 8, 9)


def padding_before_a_transpose() -> Graph:
    sides = {"sides": np.array([0, 1, 0, 0, 0, 0, 2, 0]), "channels_last": np.array([-1, 8, 8, 4])}
    nodes = [node("Reshape", ["x", "channels_last"], ["l"]), node("Pad", ["l", "sides"], ["p"])]
    nodes += [node("Transpose", ["p"], ["t"], perm=[0, 3, 1, 2]), node("Conv", ["t", "k", "b"], ["y"])]
    return nodes, KERNEL | sides, (6, 7, 8)


def hard_swish() -> Graph:
    """As converters write MobileNetV3's."""
    scalars = {"three": 3.0, "zero": 0.0, "six": 6.0, "sixth": 1 / 6}
    nodes = [node("Conv", ["x", "k", "b"], ["c"]), node("Add", ["c", "three"], ["a"])]
    nodes += [
        node("Clip", ["a", "zero", "six"], ["r"]),
        node("Mul", ["r", "sixth"], ["g"]),
        node("Mul", ["c", "g"], ["y"]),
    ]
    return nodes, KERNEL | {name: np.array(value, np.float32) for name, value in scalars.items()}, (6, 6, 6)


def hard_swish_of_a_layer_alone() -> Graph:
    """The sum would be folded into the layer, if the layer were not read beside it."""
    nodes, constants, result = hard_swish()
    scalars = {"fifth": np.array(0.2, np.float32), "half": np.array(0.5, np.float32), "one": np.array(1, np.float32)}
    gate = [
        node("Mul", ["fifth", "c"], ["s"]),
        node("Add", ["s", "half"], ["a"]),
        node("Clip", ["a", "zero", "one"], ["r"]),
    ]
    return (
        [nodes[0], *gate, node("Div", ["r", "one"], ["g"]), node("Mul", ["c", "g"], ["y"])],
        constants | scalars,
        result,
    )


def weights_behind_operators() -> Graph:
    """As converters write a contraction: weights of rank 3 that a computed shape flattens, and a product of them."""
    constants = DENSE | {"r": DENSE["w"].reshape(256, 2, 3).transpose(1, 2, 0), "two": np.array(2, np.float32)}
    nodes = [FLAT, node("Transpose", ["r"], ["t"], perm=[2, 0, 1]), node("Shape", ["flat"], ["n"])]
    nodes += [node("Concat", ["n", "n"], ["p"], axis=0), node("Mul", ["p", "sizes"], ["s"])]
    nodes += [node("Reshape", ["t", "s"], ["k"]), node("Mul", ["k", "two"], ["d"]), node("MatMul", ["f", "d"], ["m"])]
    return [*nodes, node("Add", ["m", "b"], ["y"])], constants | {"sizes": np.array([128, 3])}, (6,)


FOLDED = {
    dense_and_batch_normalization: ["Reshape", "Gemm"],
    dense_scaled_and_shifted_from_all_sides: ["Reshape", "Gemm"],
    dense_on_sequences: ["Reshape", "Reshape", "Gemm", "Relu", "Reshape"],
    dense_of_three_dimensions: ["Reshape", "Reshape", "Gemm", "Reshape"],
    dense_of_three_dimensions_behind_a_computed_shape: ["Reshape", "Reshape", "Gemm", "Reshape"],
    gemm_with_factors: ["Reshape", "Gemm"],
    gemm_with_one_bias_for_all: ["Reshape", "Gemm"],
    convolution_normalized_by_hand: ["Conv", "Relu"],
    convolution_and_bias_behind_a_transpose: ["Conv", "Relu", "Transpose"],
    one_dimensional_convolution: ["Reshape", "Conv", "Relu", "Squeeze"],
    grouped_transposed_convolution: ["ConvTranspose"],
    padding_before_a_convolution: ["Conv"],
    padding_before_a_transpose: ["Reshape", "Transpose", "Conv"],
    weights_behind_operators: ["Reshape", "Gemm"],
    hard_swish: ["Conv", "HardSigmoid", "Mul"],
    hard_swish_of_a_layer_alone: ["Conv", "HardSigmoid", "Mul"],
}


def prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    preparation.prepare(copy)
    onnx.checker.check_model(copy, full_check=True)
    return copy


def operators(model: onnx.ModelProto) -> list[str]:
    """Those whose results are read."""
    return [each.op_type for each in canonicalize.canonical(model).graph.node]


@pytest.mark.parametrize("graph", FOLDED)
def test_it_computes_the_same_with_fewer_operators(graph: Callable[[], Graph], tmp_path: Path) -> None:
    nodes, constants, result = graph()
    model = graphs.unprepared(nodes, constants, result=result)
    after = prepared(model)
    assert operators(after) == FOLDED[graph]
    wanted, got = (graphs.answers(each, tmp_path, graphs.images(8)) for each in (model, after))
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    assert operators(prepared(after)) == operators(after)


FLOAT = (grouped_transposed_convolution, hard_swish, hard_swish_of_a_layer_alone)
"""With operators that have no integer kernel."""


@pytest.mark.parametrize("graph", [each for each in FOLDED if each not in FLOAT])
def test_in_integers_nothing_but_its_layer_is_left_to_compute(graph: Callable[[], Graph], tmp_path: Path) -> None:
    nodes, constants, result = graph()
    model = graphs.unprepared(nodes, constants, result=result)
    after = prepared(model)
    seen = calibration.observe(after, ptq.points(after), graphs.images())
    quantized = ptq.quantize(after, {name: calibration.min_max(each) for name, each in seen.items()})
    onnx.save(quantized, tmp_path / "quantized.onnx")
    shown = integer_coverage.prove(tmp_path / "quantized.onnx")
    assert (shown.integer_weight_share, shown.integer_compute_share, shown.float_nodes) == (1, 1, [])
    wanted, got = (graphs.answers(each, tmp_path, graphs.images()) for each in (model, quantized))
    assert np.sqrt(np.mean((wanted - got) ** 2) / np.mean(wanted**2)) < 0.03


def test_what_others_read_is_not_folded() -> None:
    """The sum is read with and without its scaling."""
    nodes = [node("Conv", ["x", "k", "b"], ["c"]), node("Mul", ["c", "gamma"], ["s"]), node("Add", ["s", "c"], ["y"])]
    model = graphs.unprepared(nodes, KERNEL | {"gamma": NORMALIZATION["gamma"].reshape(6, 1, 1)}, result=(6, 6, 6))
    assert operators(prepared(model)) == ["Conv", "Mul", "Add"]


@pytest.mark.parametrize("shape", [(6,), (1, 6, 6, 1), (6, 6, 6)])
def test_what_differs_within_a_channel_is_not_folded(shape: tuple[int, ...], tmp_path: Path) -> None:
    """(6,) goes along the width, which happens to be as large as there are channels."""
    nodes = [node("Conv", ["x", "k", "b"], ["c"]), node("Mul", ["c", "s"], ["y"])]
    constants = KERNEL | {"s": np.random.default_rng(0).uniform(0.5, 2, shape).astype(np.float32)}
    model = graphs.unprepared(nodes, constants, result=(6, 6, 6))
    assert operators(prepared(model)) == ["Conv", "Mul"]


@pytest.mark.parametrize(
    ("mode", "value", "sides"),
    [
        ("reflect", 0, [0, 0, 1, 1, 0, 0, 1, 1]),
        ("constant", 1, [0, 0, 1, 1, 0, 0, 1, 1]),
        ("constant", 0, [0] * 4 + [0, 2, 0, 0]),
    ],
)
def test_padding_by_anything_but_zeros_around_the_image_stays(mode: str, value: float, sides: list[int]) -> None:
    constants = KERNEL | {"sides": np.array(sides), "value": np.array(value, np.float32)}
    constants["k"] = graphs.drawn(6, 4 + sides[1] + sides[5], 3, 3)
    nodes = [node("Pad", ["x", "sides", "value"], ["p"], mode=mode), node("Conv", ["p", "k", "b"], ["y"])]
    size = 6 + sides[2] + sides[6]
    model = graphs.unprepared(nodes, constants, result=(6, size, size))
    assert operators(prepared(model)) == ["Pad", "Conv"]


def test_each_layer_has_constants_of_its_own() -> None:
    nodes = [node("Conv", ["x", "k", "b"], ["c"], pads=[1] * 4), node("Conv", ["c", "k", "b"], ["d"], pads=[1] * 4)]
    nodes += [node("Add", ["d", "b4"], ["e"]), node("Reshape", ["e", "flat"], ["row"])]
    nodes += [node("Gemm", ["row", "w", "b"], ["y"])]
    constants = {"k": graphs.drawn(4, 4, 3, 3), "b": vector(4), "b4": vector(4, 8, 8), "w": graphs.drawn(256, 4)}
    model = prepared(graphs.unprepared(nodes, constants | {"flat": np.array([0, -1])}, result=(4,)))
    readers = qdq.consumers(model)
    layers = [each for each in model.graph.node if each.op_type in ("Conv", "Gemm")]
    assert [len(readers[name]) for layer in layers for name in layer.input[1:]] == [1] * 6


def test_a_scalar_is_not_written_out() -> None:
    """A constant of a megabyte, where one number and a shape say the same."""
    constants = {"one": np.array(1, np.float32), "shape": np.array([512, 512]), "flat": np.array([-1, 4, 8, 8])}
    nodes = [node("Expand", ["one", "shape"], ["e"]), node("ReduceMean", ["e"], ["m"], keepdims=0)]
    model = graphs.unprepared([*nodes, node("Mul", ["x", "m"], ["y"])], constants, result=(4, 8, 8))
    assert operators(prepared(model))[0] == "Expand"
