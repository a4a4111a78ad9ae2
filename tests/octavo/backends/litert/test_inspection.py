"""What the proof counts in LiteRT files: every operator that multiplies, constant and graph, by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octavo.backends.litert.inspection import operators
from octavo.backends.litert.parameters import parameters
from octavo.backends.registry import open_model
from octavo.evaluation import integer_coverage
from tests.litert_files import Code, File, Graph


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def macs(path: Path) -> list[int | None]:
    """Of the operators that have any, or an unknown number."""
    return [operator.macs for operator in operators(path) if operator.macs != 0]


def stored(path: Path) -> dict[str, int]:
    """Elements of all weights and of all biases."""
    found = parameters(path)
    return {kind: sum(each.elements for each in found if each.kind == kind) for kind in ("weight", "bias")}


def layer(code: int, shape: list[int], weights: np.ndarray, result: list[int], options: str, **values: Any) -> File:
    """One layer with weights and bias, from `x` of that shape to `y`."""
    file = File()
    file.main.value("x", [-1, *shape])
    file.main.value("y", [-1, *result])
    file.main.constant("w", weights)
    file.main.constant("b", floats(result[-1]))
    file.main.operator(code, ["x", "w", "b"], ["y"], options, **values)
    file.main.ends(["x"], ["y"])
    return file


VALID = {"padding": 1, "strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
CONVOLUTIONS = {
    "plain": (
        layer(Code.CONV_2D, [6, 6, 3], floats(4, 3, 3, 3), [4, 4, 4], "Conv2DOptions", **VALID),
        4 * 4 * 4 * 27,
    ),
    "grouped": (
        layer(Code.CONV_2D, [6, 6, 4], floats(8, 3, 3, 2), [4, 4, 8], "Conv2DOptions", **VALID),
        4 * 4 * 8 * 18,
    ),
    "dilated": (
        layer(
            Code.CONV_2D, [6, 6, 3], floats(4, 3, 3, 3), [2, 2, 4], "Conv2DOptions",
            **VALID | {"dilationWFactor": 2, "dilationHFactor": 2},
        ),
        2 * 2 * 4 * 27,
    ),
    "depthwise": (
        layer(
            Code.DEPTHWISE_CONV_2D, [6, 6, 3], floats(1, 3, 3, 6), [4, 4, 6], "DepthwiseConv2DOptions",
            **VALID | {"depthMultiplier": 2},
        ),
        4 * 4 * 6 * 9,
    ),
    "3-D": (
        layer(
            Code.CONV_3D, [4, 4, 4, 2], floats(2, 2, 2, 2, 5), [3, 3, 3, 5], "Conv3DOptions",
            **VALID | {"strideD": 1, "dilationDFactor": 1},
        ),
        27 * 5 * 16,
    ),
    "dense on a sequence": (
        layer(Code.FULLY_CONNECTED, [7, 6], floats(5, 6), [7, 5], "FullyConnectedOptions", keepNumDims=True),
        7 * 5 * 6,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_layers_with_weights(case: str, tmp_path: Path) -> None:
    file, expected = CONVOLUTIONS[case]
    path = file.write(tmp_path / "model.tflite")
    assert macs(path) == [expected]
    weights, bias = file.main.made.tensors[2:4]
    assert stored(path) == {"weight": np.prod(weights.shape), "bias": np.prod(bias.shape)}
    assert integer_coverage.prove(path).integer_weight_share == 0


@pytest.mark.parametrize("hybrid", [False, True])
def test_a_transposed_convolution_multiplies_each_input_once(hybrid: bool, tmp_path: Path) -> None:
    """Its data are its third input; its output is larger by the square of the stride.

    Where its weights are integers it quantizes the data itself, and does not see what is far below a step of theirs.
    """
    file = File()
    file.main.value("x", [1, 5, 5, 4])
    file.main.constant("shape", np.array([1, 11, 11, 6], np.int32))
    weights = np.rint(floats(6, 3, 3, 4) * 30).astype(np.int8)
    if hybrid:
        file.main.constant("w", weights, scale=[0.1] * 6)
    else:
        file.main.constant("w", weights * np.float32(0.1))
    file.main.constant("b", floats(6))
    file.main.value("y", [1, 11, 11, 6])
    stride: dict[str, Any] = {"padding": 1, "strideW": 2, "strideH": 2}
    file.main.operator(
        Code.TRANSPOSE_CONV, ["shape", "w", "x", "b"], ["y"], "TransposeConvOptions", version=3, **stride
    )
    file.main.ends(["x"], ["y"])
    path = file.write(tmp_path / "model.tflite")
    assert macs(path) == [5 * 5 * 4 * 6 * 9]
    assert stored(path) == {"weight": 6 * 9 * 4, "bias": 6}
    assert integer_coverage.prove(path).integer_compute_share == hybrid
    data = np.full((1, 5, 5, 4), 1 / 3000, np.float32)
    data[0, 2, 2] = 1
    predict = open_model(path)
    assert np.array_equal(predict(data), predict(np.round(data))) == hybrid


@pytest.mark.parametrize(("turned", "shape"), [(False, (6, 7)), (True, (7, 6))])
def test_a_batched_matrix_product_counts_and_so_does_its_constant(
    turned: bool, shape: tuple[int, int], tmp_path: Path
) -> None:
    file = File()
    file.main.value("x", [-1, 4, 6])
    file.main.constant("w", floats(1, *shape))
    file.main.value("y", [-1, 4, 7])
    file.main.operator(Code.BATCH_MATMUL, ["x", "w"], ["y"], "BatchMatMulOptions", adjX=False, adjY=turned)
    file.main.ends(["x"], ["y"])
    path = file.write(tmp_path / "model.tflite")
    assert macs(path) == [4 * 6 * 7]
    assert stored(path) == {"weight": 42, "bias": 0}


def sequence_lstm(hybrid: bool) -> File:
    """A layer of 5 units on 7 steps of 3 values."""
    file = File()
    main = file.main
    main.value("x", [1, 7, 3])
    main.value("y", [1, 7, 5])
    gates = ("i", "f", "c", "o")
    for gate in gates:
        for kind, width in (("w", 3), ("r", 5)):
            if hybrid:
                main.constant(f"{kind}{gate}", np.ones((5, width), np.int8), scale=0.1)
            else:
                main.constant(f"{kind}{gate}", floats(5, width))
        main.constant(f"b{gate}", floats(5))
    for state in ("h", "s"):
        main.value(state, [1, 5])
        main.made.tensors[-1].isVariable = True
    weights = [f"{kind}{gate}" for kind in "wr" for gate in gates]
    inputs = ["x", *weights, "", "", "", *(f"b{gate}" for gate in gates), "", "", "h", "s", "", "", "", ""]
    main.operator(
        Code.UNIDIRECTIONAL_SEQUENCE_LSTM, inputs, ["y"], "UnidirectionalSequenceLSTMOptions",
        fusedActivationFunction=4,
    )  # fmt: skip
    main.ends(["x"], ["y"])
    return file


@pytest.mark.parametrize("hybrid", [False, True])
def test_a_sequence_lstm_multiplies_all_its_weights_at_every_step(hybrid: bool, tmp_path: Path) -> None:
    path = sequence_lstm(hybrid).write(tmp_path / "model.tflite")
    assert macs(path) == [7 * 4 * 5 * (3 + 5)]
    assert stored(path) == {"weight": 4 * 5 * (3 + 5), "bias": 20}
    shown = integer_coverage.prove(path)
    assert (shown.integer_weight_share, shown.integer_compute_share) == (hybrid, hybrid)


def test_tables_slopes_and_scales_are_weights_and_settings_are_none(tmp_path: Path) -> None:
    file = File()
    main = file.main
    main.value("x", [1, 3], np.int32)
    main.constant("table", floats(20, 6))
    main.value("rows", [1, 3, 6])
    main.operator(Code.GATHER, ["table", "x"], ["rows"], "GatherOptions", axis=0, batchDims=0)
    main.constant("scale", floats(6))
    main.value("scaled", [1, 3, 6])
    main.operator(Code.MUL, ["rows", "scale"], ["scaled"], "MulOptions")
    main.constant("bias", floats(6) + 1)
    main.value("added", [1, 3, 6])
    main.operator(Code.ADD, ["scaled", "bias"], ["added"], "AddOptions")
    main.constant("half", np.array(0.5, np.float32))
    main.value("halved", [1, 3, 6])
    main.operator(Code.MUL, ["added", "half"], ["halved"], "MulOptions")
    main.constant("slope", floats(3, 6))
    main.value("bent", [1, 3, 6])
    main.operator(Code.PRELU, ["halved", "slope"], ["bent"])
    main.constant("shape", np.array([1, 18], np.int32))
    main.value("y", [1, 18])
    main.operator(Code.RESHAPE, ["bent", "shape"], ["y"], "ReshapeOptions")
    main.ends(["x"], ["y"])
    path = file.write(tmp_path / "model.tflite")
    assert stored(path) == {"weight": 20 * 6 + 6 + 18, "bias": 6}
    assert macs(path) == []


def dense(graph: Graph, source: str, target: str, weights: str) -> None:
    graph.operator(Code.FULLY_CONNECTED, [source, weights, ""], [target], "FullyConnectedOptions")


def test_a_loop_reads_its_weights_and_costs_nobody_knows_what(tmp_path: Path) -> None:
    """The body's weights are handed in by the graph around it, and never change."""
    file = File()
    inputs = ("n", "v", "w")
    shapes: dict[str, list[int]] = {"n": [], "v": [1, 6], "w": [6, 6]}
    main, condition, body = file.main, file.graph(), file.graph()
    for graph in (condition, body):
        for name in inputs:
            graph.value(name, shapes[name], np.int32 if name == "n" else np.float32)
    condition.constant("limit", np.array(4, np.int32))
    condition.value("on", [], np.bool_)
    condition.operator(Code.LESS, ["n", "limit"], ["on"])
    condition.ends(inputs, ["on"])
    body.constant("one", np.array(1, np.int32))
    body.value("next", [], np.int32)
    body.value("u", [1, 6])
    body.operator(Code.ADD, ["n", "one"], ["next"], "AddOptions")
    dense(body, "v", "u", "w")
    body.ends(inputs, ["next", "u", "w"])
    main.value("x", [1, 6])
    main.constant("start", np.array(0, np.int32))
    main.constant("weights", floats(6, 6))
    for name, like in (("end", "n"), ("y", "v"), ("same", "w")):
        main.value(name, shapes[like], np.int32 if like == "n" else np.float32)
    main.operator(
        Code.WHILE, ["start", "x", "weights"], ["end", "y", "same"], "WhileOptions",
        condSubgraphIndex=1, bodySubgraphIndex=2,
    )  # fmt: skip
    main.ends(["x"], ["y"])
    path = file.write(tmp_path / "model.tflite")
    assert macs(path) == [None]
    assert stored(path) == {"weight": 36, "bias": 0}
    shown = integer_coverage.prove(path)
    assert (shown.integer_weight_share, shown.integer_compute_share) == (0, None)
    assert [each.operator for each in shown.uncounted] == ["FullyConnected"]


@pytest.mark.parametrize(("hidden", "expected"), [(6, [36]), (8, [None, None, None])])
def test_branches_count_where_they_cost_the_same(hidden: int, expected: list[int | None], tmp_path: Path) -> None:
    file = File()
    main, one, other = file.main, file.graph(), file.graph()
    one.value("v", [1, 6])
    one.value("u", [1, 6])
    one.constant("w", floats(6, 6))
    dense(one, "v", "u", "w")
    one.ends(["v"], ["u"])
    other.value("v", [1, 6])
    other.value("u", [1, 6])
    if hidden == 6:
        other.constant("w", floats(6, 6) + 1)
        dense(other, "v", "u", "w")
    else:
        other.value("h", [1, hidden])
        other.constant("first", floats(hidden, 6))
        other.constant("second", floats(6, hidden))
        dense(other, "v", "h", "first")
        dense(other, "h", "u", "second")
    other.ends(["v"], ["u"])
    main.value("x", [1, 6])
    main.constant("axes", np.array([0, 1], np.int32))
    main.constant("zero", np.array(0, np.float32))
    main.value("sum", [])
    main.value("which", [], np.bool_)
    main.value("y", [1, 6])
    main.operator(Code.SUM, ["x", "axes"], ["sum"], "ReducerOptions", keepDims=False)
    main.operator(Code.GREATER, ["sum", "zero"], ["which"])
    main.operator(Code.IF, ["which", "x"], ["y"], "IfOptions", thenSubgraphIndex=1, elseSubgraphIndex=2)
    main.ends(["x"], ["y"])
    assert macs(file.write(tmp_path / "model.tflite")) == expected


def test_a_custom_operator_makes_the_share_unknown(tmp_path: Path) -> None:
    file = File()
    file.main.value("x", [1, 6])
    file.main.value("y", [1, 6])
    file.main.constant("w", floats(6, 6))
    file.main.operator(Code.CUSTOM, ["x", "w"], ["y"], custom="MyMatMul")
    file.main.ends(["x"], ["y"])
    shown = integer_coverage.prove(file.write(tmp_path / "model.tflite"))
    assert (shown.integer_weight_share, shown.integer_compute_share) == (0, None)
    assert [each.operator for each in shown.uncounted] == ["MyMatMul"]


def test_a_buffer_that_two_tensors_share_is_stored_once(tmp_path: Path) -> None:
    file, weights = File(), floats(6, 6)
    main = file.main
    for name in ("x", "h", "y"):
        main.value(name, [-1, 6])
    main.constant("w", weights)
    main.constant("v", weights, like="w")
    dense(main, "x", "h", "w")
    dense(main, "h", "y", "v")
    main.ends(["x"], ["y"])
    path = file.write(tmp_path / "model.tflite")
    assert stored(path) == {"weight": 36, "bias": 0}
    assert sum(macs(path)) == 72  # type: ignore[arg-type]


def test_a_file_that_takes_no_single_image_is_counted_as_it_is(tmp_path: Path) -> None:
    file = File()
    file.main.value("x", [4, 2, 3])
    file.main.constant("shape", np.array([4, 6], np.int32))
    file.main.value("flat", [4, 6])
    file.main.operator(Code.RESHAPE, ["x", "shape"], ["flat"], "ReshapeOptions")
    file.main.constant("w", floats(5, 6))
    file.main.value("y", [4, 5])
    dense(file.main, "flat", "y", "w")
    file.main.ends(["x"], ["y"])
    assert macs(file.write(tmp_path / "model.tflite")) == [4 * 6 * 5]


def test_free_sizes_are_unknown_until_an_image_tells(tmp_path: Path) -> None:
    file = File()
    file.main.value("x", [-1, -1, 3])
    file.main.constant("w", floats(5, 3))
    file.main.value("y", [-1, -1, 5])
    file.main.operator(
        Code.FULLY_CONNECTED, ["x", "w", ""], ["y"], "FullyConnectedOptions", keepNumDims=True, version=5
    )
    file.main.ends(["x"], ["y"])
    path = file.write(tmp_path / "model.tflite")
    assert integer_coverage.prove(path).integer_compute_share is None
    assert [each.macs for each in operators(path, np.zeros((2, 7, 3), np.float32))] == [7 * 5 * 3]


@pytest.mark.timeout(30)
def test_an_operator_that_is_behind_itself_ends_the_search_for_weights(tmp_path: Path) -> None:
    """As in a damaged file; the interpreter would refuse it."""
    file = File()
    file.main.value("x", [-1, 16])
    file.main.value("w", [3, 16])
    file.main.value("y", [-1, 3])
    file.main.operator(Code.DEQUANTIZE, ["w"], ["w"])
    file.main.operator(Code.FULLY_CONNECTED, ["x", "w", ""], ["y"], "FullyConnectedOptions")
    file.main.ends(["x"], ["y"])
    assert stored(file.write(tmp_path / "behind.tflite")) == {"weight": 0, "bias": 0}
