"""What the proof counts in ONNX files: every operator that multiplies and every constant that is data, by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from octavo.backends.onnxruntime.inspection import operators
from octavo.backends.onnxruntime.parameters import parameters
from octavo.backends.registry import open_model
from octavo.data.splits import Samples, Split
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize
from octavo.quantization import recipes

Constants = dict[str, np.ndarray]
node = helper.make_node


def floats(*shape: int) -> np.ndarray:
    """Values that no two constants share."""
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    constants: Constants,
    image: Sequence[int | str],
    result: Sequence[int] | None = None,
) -> Path:
    """A model from `x`, of that shape behind the batch, to the last node's output."""
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *image])
    target = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, result and ["N", *result])
    graph = helper.make_graph(
        nodes, "g", [source], [target], [numpy_helper.from_array(array, name) for name, array in constants.items()]
    )
    domains = {node.domain for node in nodes} - {""}
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def macs(path: Path) -> list[int | None]:
    """Of the operators that have any, or an unknown number."""
    return [operator.macs for operator in operators(path) if operator.macs != 0]


def stored(path: Path) -> dict[str, int]:
    """Elements of all weights and of all biases."""
    found = parameters(path)
    return {kind: sum(each.elements for each in found if each.kind == kind) for kind in ("weight", "bias")}


def lstm(path: Path, hidden: int = 64) -> Path:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        node("LSTM", ["t", "w", "r", "b"], ["", "h", ""], hidden_size=hidden),
        node("Squeeze", ["h", "axis"], ["s"]),
        node("MatMul", ["s", "d"], ["y"]),
    ]
    constants = {
        "w": floats(1, 4 * hidden, 8),
        "r": floats(1, 4 * hidden, hidden),
        "b": floats(1, 8 * hidden),
        "axis": np.array([0]),
        "d": floats(hidden, 10),
    }
    return write(path, nodes, constants, [8, 8], [10])


def test_a_float_lstm_is_most_of_its_network(tmp_path: Path) -> None:
    """97% of the weights and more of the work: quantizing the dense layer behind it changes little."""
    canonicalize.save(onnx.load(lstm(tmp_path / "lstm.onnx")), tmp_path / "model.onnx")
    images = np.random.default_rng(0).random((50, 8, 8), np.float32)
    samples = Samples(images, Split(images, open_model(tmp_path / "model.onnx")(images).argmax(1)))
    recipes.quantize("onnx_int8_static", tmp_path, tmp_path / "int8.onnx", samples, {})
    shown, dense, recurrent = integer_coverage.prove(tmp_path / "int8.onnx"), 64 * 10, 4 * 64 * (8 + 64)
    assert shown.integer_weight_share == pytest.approx(dense / (dense + recurrent))
    assert shown.integer_compute_share == pytest.approx(dense / (dense + 8 * recurrent))
    assert [each.operator for each in shown.float_nodes] == ["LSTM"]


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_recurrent_layers(kind: str, gates: int, direction: str, tmp_path: Path) -> None:
    ways = 1 + (direction == "bidirectional")
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        node(kind, ["t", "w", "r", "", "", "start"], ["y"], hidden_size=5, direction=direction),
    ]
    constants = {"w": floats(ways, gates * 5, 3), "r": floats(ways, gates * 5, 5), "start": floats(ways, 1, 5)}
    path = write(tmp_path / "model.onnx", nodes, constants, [7, 3])
    assert macs(path) == [ways * 7 * gates * 5 * (3 + 5)]
    assert stored(path) == {"weight": ways * gates * 5 * (3 + 5), "bias": 0}


CONVOLUTIONS: dict[str, tuple[list[int], tuple[int, ...], dict[str, Any], int]] = {
    "1-D": ([3, 9], (4, 3, 3), {}, 4 * 7 * 3 * 3),
    "2-D, dilated": ([3, 9, 9], (4, 3, 3, 3), {"dilations": [2, 2]}, 4 * 5 * 5 * 3 * 9),
    "3-D": ([2, 5, 5, 5], (4, 2, 2, 2, 2), {}, 4 * 4**3 * 2 * 8),
    "grouped": ([6, 5, 5], (4, 3, 3, 3), {"group": 2}, 4 * 3 * 3 * 3 * 9),
    "depthwise": ([6, 5, 5], (12, 1, 3, 3), {"group": 6}, 12 * 3 * 3 * 9),
    "strided": ([3, 9, 9], (4, 3, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}, 4 * 5 * 5 * 3 * 9),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(case: str, tmp_path: Path) -> None:
    image, weights, attributes, expected = CONVOLUTIONS[case]
    made = node("Conv", ["x", "w", "b"], ["y"], **attributes)
    path = write(tmp_path / "model.onnx", [made], {"w": floats(*weights), "b": floats(weights[0])}, image)
    assert macs(path) == [expected]
    assert stored(path) == {"weight": np.prod(weights), "bias": weights[0]}


@pytest.mark.parametrize("group", [1, 2])
def test_transposed_convolutions_multiply_each_input_once(group: int, tmp_path: Path) -> None:
    made = node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], group=group)
    path = write(tmp_path / "model.onnx", [made], {"w": floats(4, 6 // group, 3, 3)}, [4, 5, 5])
    assert macs(path) == [4 * 5 * 5 * 6 // group * 9]


PRODUCTS = {
    "two activations": (
        [node("Transpose", ["x"], ["t"], perm=[0, 2, 1]), node("MatMul", ["x", "t"], ["y"])],
        4 * 4 * 6,
    ),
    "constant first": ([node("MatMul", ["left", "x"], ["y"])], 5 * 4 * 6),
    "stacked constant": ([node("MatMul", ["x", "stack"], ["y"])], 2 * 4 * 6 * 7),
    "einsum": ([node("Einsum", ["x", "cube"], ["y"], equation="nij,jkl->nikl")], 4 * 6 * 2 * 3),
    "einsum, dots": ([node("Einsum", ["x", "right"], ["y"], equation="...j, jk")], 4 * 6 * 7),
    "gemm, transposed": (
        [node("Reshape", ["x", "flat"], ["f"]), node("Gemm", ["f", "turned"], ["y"], transA=1, transB=1)],
        6 * 5 * 4,
    ),
}


@pytest.mark.parametrize("case", PRODUCTS)
def test_matrix_products(case: str, tmp_path: Path) -> None:
    nodes, expected = PRODUCTS[case]
    constants = {"left": floats(5, 4), "stack": floats(2, 1, 6, 7), "cube": floats(6, 2, 3), "right": floats(6, 7)}
    constants |= {"turned": floats(5, 4), "flat": np.array([4, 6])}
    read = {name for each in nodes for name in each.input}
    path = write(tmp_path / "model.onnx", nodes, {name: constants[name] for name in constants if name in read}, [4, 6])
    assert macs(path) == [expected]


def test_constants_that_are_data_are_weights_and_those_that_are_settings_are_not(tmp_path: Path) -> None:
    nodes = [
        node("BatchNormalization", ["x", "scale", "shift", "mean", "variance"], ["a"]),
        node("PRelu", ["a", "slope"], ["b"]),
        node("Clip", ["b", "low", "high"], ["c"]),
        node("Mul", ["c", "half"], ["d"]),
        node("Add", ["d", "bias"], ["e"]),
        node("Add", ["e", "positions"], ["f"]),
        node("Resize", ["f", "", "scales"], ["g"], mode="nearest"),
        node("Pad", ["g", "pads", "fill"], ["h"]),
        node("LayerNormalization", ["h", "gain", "offset"], ["i"], axis=-1),
        node("Gather", ["table", "which"], ["j"]),
        node("Mul", ["i", "j"], ["y"]),
    ]
    constants = {name: floats(4) for name in ("scale", "shift", "mean")} | {
        "variance": np.arange(1, 5, dtype=np.float32),
        "slope": floats(4, 1, 1),
        "low": np.array(-1, np.float32),
        "high": np.array(1, np.float32),
        "half": np.array([0.5], np.float32),
        "bias": floats(1, 4, 1, 1),
        "positions": floats(1, 4, 6, 6),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "pads": np.array([0, 0, 0, 0, 0, 0, 0, 1]),
        "fill": np.array(0, np.float32),
        "gain": floats(13),
        "offset": floats(13) + 1,
        "table": floats(20, 13),
        "which": np.array([3]),
    }
    path = write(tmp_path / "model.onnx", nodes, constants, [4, 6, 6])
    weights = 4 + 4 + 4 + 4 * 36 + 13 + 20 * 13  # scale, variance, slope, positions, gain, table
    assert stored(path) == {"weight": weights, "bias": 4 + 4 + 4 + 13}
    assert integer_coverage.prove(path).integer_weight_share == 0


def test_integers_read_through_conversions_and_moves_are_stored_as_integers(tmp_path: Path) -> None:
    nodes = [
        node("DequantizeLinear", ["w8", "scale", "zero"], ["w"], axis=1),
        node("Transpose", ["w"], ["t"], perm=[1, 0]),
        node("Reshape", ["t", "shape"], ["r"]),
        node("MatMul", ["x", "r"], ["a"]),
        node("Cast", ["w16"], ["c"], to=TensorProto.FLOAT),
        node("MatMul", ["a", "c"], ["b"]),
        node("Cast", ["u8"], ["cast"], to=TensorProto.FLOAT),
        node("Sub", ["cast", "middle"], ["centred"]),
        node("Mul", ["centred", "steps"], ["scaled"]),
        node("MatMul", ["b", "scaled"], ["y"]),
    ]
    constants = {
        "w8": np.ones((5, 4), np.int8),
        "scale": floats(4),
        "zero": np.zeros(4, np.int8),
        "shape": np.array([4, 5]),
        "w16": floats(5, 3).astype(np.float16),
        "u8": np.ones((3, 2), np.uint8),
        "middle": floats(1, 2),
        "steps": floats(1, 2) + 1,
    }
    found = parameters(write(tmp_path / "model.onnx", nodes, constants, [4]))
    assert {(each.elements, each.file_bytes, each.integer) for each in found} == {
        (20, 20, True),
        (15, 30, False),
        (6, 6, True),
    }


def body(name: str, inputs: Sequence[str], outputs: Sequence[str], nodes: Sequence[onnx.NodeProto]) -> onnx.GraphProto:
    """A subgraph on rows (1, 6)."""
    kinds: dict[str, Any] = {"i": (TensorProto.INT64, []), "go": (TensorProto.BOOL, []), "on": (TensorProto.BOOL, [])}
    ends = {
        end: helper.make_tensor_value_info(end, *kinds.get(end, (TensorProto.FLOAT, [1, 6])))
        for end in (*inputs, *outputs)
    }
    return helper.make_graph(nodes, name, [ends[end] for end in inputs], [ends[end] for end in outputs])


def loop(trips: list[onnx.NodeProto], *on: onnx.NodeProto) -> list[onnx.NodeProto]:
    """A loop whose body multiplies by weights that lie outside of it."""
    inner = body("b", ["i", "go", "s"], ["on", "t"], [node("MatMul", ["s", "w"], ["t"]), *on])
    return [*trips, node("Loop", ["trips", "", "x"], ["y"], body=inner)]


HAND_ON = node("Identity", ["go"], ["on"])
COMPUTED = [
    node("ReduceSum", ["x"], ["sum"], keepdims=0),
    node("Cast", ["sum"], ["trips"], to=TensorProto.INT64),
]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        (loop([], HAND_ON), 9 * 36),
        (loop(COMPUTED, HAND_ON), None),
        (loop([], node("Less", ["i", "five"], ["on"])), 6 * 36),
        (loop([], node("ReduceMax", ["t"], ["top"], keepdims=0), node("Less", ["top", "bound"], ["on"])), None),
    ],
)
def test_a_loop_costs_its_body_as_often_as_the_file_says(
    nodes: list[onnx.NodeProto], expected: int | None, tmp_path: Path
) -> None:
    constants = {"w": floats(6, 6), "five": np.array(5), "trips": np.array(9), "bound": np.array(3, np.float32)}
    if len(nodes) > 1:
        constants.pop("trips")
    path = write(tmp_path / "model.onnx", nodes, constants, [6])
    assert macs(path) == [expected]
    assert stored(path)["weight"] == 36
    shown = integer_coverage.prove(path)
    assert shown.integer_compute_share == (None if expected is None else 0)
    assert [each.operator for each in shown.uncounted] == ([] if expected else ["MatMul"])


def test_what_a_loop_hands_on_unchanged_is_read_inside_and_states_are_no_weights(tmp_path: Path) -> None:
    """As converters write loops: bias and weights are states that never change, beside a counter and a state."""
    ends: dict[str, Any] = {"u": (TensorProto.INT64, []), "v": (TensorProto.INT64, [])}
    ends |= {name: (TensorProto.FLOAT, [6, 6]) for name in ("w", "w2")} | {
        name: (TensorProto.FLOAT, [6]) for name in ("b", "b2")
    }
    ends |= {name: (TensorProto.FLOAT, [1, 6]) for name in ("s", "t")}
    ends |= {"i": (TensorProto.INT64, []), "go": (TensorProto.BOOL, []), "on": (TensorProto.BOOL, [])}
    inner = helper.make_graph(
        [
            node("Add", ["u", "one"], ["v"]),
            node("MatMul", ["s", "w"], ["m"]),
            node("Add", ["m", "b"], ["t"]),
            node("Identity", ["w"], ["w2"]),
            node("Less", ["v", "four"], ["on"]),
        ],
        "b",
        [helper.make_tensor_value_info(name, *ends[name]) for name in ("i", "go", "u", "s", "w", "b")],
        [helper.make_tensor_value_info(name, *ends[name]) for name in ("on", "v", "t", "w2", "b")],
    )
    names = ["", "begin", "zero", "start", "weights", "bias"]
    nodes = [node("Loop", names, ["u1", "s1", "w1", "b1"], body=inner), node("MatMul", ["x", "s1"], ["y"])]
    constants = {
        "begin": np.array(True),
        "zero": np.array(0),
        "start": np.zeros((1, 6), np.float32),
        "weights": floats(6, 6),
        "bias": floats(6),
        "one": np.array(1),
        "four": np.array(4),
    }
    path = write(tmp_path / "model.onnx", nodes, constants, [1])
    assert macs(path) == [4 * 36, 6]
    assert stored(path) == {"weight": 36, "bias": 6}


def test_a_scan_costs_its_body_once_a_slice(tmp_path: Path) -> None:
    inner = body("b", ["s", "v"], ["t"], [node("MatMul", ["v", "w"], ["m"]), node("Add", ["s", "m"], ["t"])])
    nodes = [
        node("Scan", ["start", "x"], ["y"], body=inner, num_scan_inputs=1, scan_input_axes=[1]),
    ]
    path = write(tmp_path / "model.onnx", nodes, {"w": floats(6, 6), "start": np.zeros((1, 6), np.float32)}, [7, 6])
    assert macs(path) == [7 * 36]


@pytest.mark.parametrize(("wide", "expected"), [("v", [36]), ("w2", [None, None])])
def test_branches_count_where_they_cost_the_same(wide: str, expected: list[int | None], tmp_path: Path) -> None:
    one = body("a", [], ["p"], [node("MatMul", ["x", "w"], ["p"])])
    other = body(
        "b", [], ["q"], [node("MatMul", ["x", wide], ["h"]), node("Slice", ["h", "zero", "six", "axis"], ["q"])]
    )
    nodes = [
        node("ReduceMax", ["x"], ["top"], keepdims=0),
        node("Cast", ["top"], ["which"], to=TensorProto.BOOL),
        node("If", ["which"], ["y"], then_branch=one, else_branch=other),
    ]
    constants = {"w": floats(6, 6), "v": floats(6, 6) + 1, "w2": floats(6, 12)}
    constants |= {"zero": np.array([0]), "six": np.array([6]), "axis": np.array([1])}
    path = write(tmp_path / "model.onnx", nodes, constants, [6])
    assert macs(path) == expected


def test_an_operator_that_nobody_knows_makes_the_share_unknown(tmp_path: Path) -> None:
    """Its constant counts among the weights; what it computes could be anything."""
    nodes = [node("CDist", ["x", "w"], ["y"], domain="com.microsoft", metric="euclidean")]
    path = write(tmp_path / "model.onnx", nodes, {"w": floats(5, 6)}, [6])
    shown = integer_coverage.prove(path)
    assert (shown.integer_weight_share, shown.integer_compute_share) == (0, None)
    assert [each.operator for each in shown.uncounted] == ["com.microsoft.CDist"]


def test_weights_among_the_attributes_make_both_shares_unknown(tmp_path: Path) -> None:
    nodes = [
        node("LinearRegressor", ["x"], ["y"], domain="ai.onnx.ml", coefficients=[1.0, 2.0, 3.0], targets=1),
    ]
    shown = integer_coverage.prove(write(tmp_path / "model.onnx", nodes, {}, [3]))
    assert (shown.integer_weight_share, shown.integer_compute_share) == (None, None)


def test_an_operator_of_another_domain_is_not_taken_for_its_namesake(tmp_path: Path) -> None:
    """`Attention` of com.microsoft projects its input first."""
    nodes = [node("Attention", ["x", "w", "b"], ["y"], domain="com.microsoft", num_heads=2)]
    path = write(tmp_path / "model.onnx", nodes, {"w": floats(8, 24), "b": floats(24)}, [5, 8])
    assert macs(path) == [5 * 8 * 24 + 2 * 5 * 5 * 8]


def test_free_sizes_are_unknown_until_an_image_tells(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["y"])]
    path = write(tmp_path / "model.onnx", nodes, {"w": floats(4, 3, 1, 1)}, [3, "H", "W"])
    assert integer_coverage.prove(path).integer_compute_share is None
    images = np.zeros((2, 3, 5, 7), np.float32)
    assert [operator.macs for operator in operators(path, images) if operator.macs] == [4 * 5 * 7 * 3]
    assert integer_coverage.prove(path, images).integer_compute_share == 0
