"""Weights in 8 bits: which can be cut off at all, and how each reader gets its own."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from octavo.backends.onnxruntime import exact_sums, integer_weights

LARGE = np.full((4, 2), 127, np.int8)
APART = np.array([[127, -127], [-1, 1], [127, -127], [1, -1]], np.int8)
"""Large, but every neighbour in the sum is small."""
DEQUANTIZED = helper.make_node("DequantizeLinear", ["w", "scale"], ["real"])


def graph(nodes: list[onnx.NodeProto], stored: Mapping[str, np.ndarray | TensorProto]) -> onnx.ModelProto:
    """From x, float32 (N, 4), to y; with what is `stored`, and a `scale` of 0.01."""
    initializers = [
        array if isinstance(array, TensorProto) else numpy_helper.from_array(array, name)
        for name, array in {"scale": np.array(0.01, np.float32), **stored}.items()
    ]
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    target = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", None])
    made = helper.make_graph(nodes, "g", [source], [target], initializers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def node(operator: str, *inputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, list(inputs), ["y"], **attributes)


@pytest.mark.parametrize(
    ("weights", "reader", "possible"),
    [
        (LARGE, node("MatMul", "x", "real"), True),
        (APART, node("MatMul", "x", "real"), False),
        (APART, node("Gemm", "x", "real"), False),
        (APART, node("Gemm", "x", "real", transB=1), False),
        (APART.T, node("MatMul", "x", "real"), False),
        (np.array([[64, 64], [64, 64]], np.int8), node("MatMul", "x", "real"), False),
        (np.array([[64, -64], [65, -65]], np.int8), node("MatMul", "x", "real"), True),
        (np.array([[64, -64], [64, -65]], np.int8), node("MatMul", "x", "real"), True),
        (np.array([[1, 1], [127, 127]], np.int8), node("Gemm", "x", "real", transB=1), True),
        (LARGE[:, :1, None, None], node("Conv", "x", "real"), False),
        (np.full((4, 1, 1, 2), 127, np.int8), node("Conv", "x", "real"), True),
        (np.full((4, 1, 1, 2), 127, np.int8), node("Conv", "x", "real", group=2), True),
        (np.full((4, 1, 1, 2), 127, np.int8), node("Conv", "x", "real", group=4), False),
        (APART, node("Einsum", "x", "real", equation="nk,km->nm"), True),
        (APART, node("MatMul", "real", "x"), True),
        (APART // 2, node("MatMul", "real", "x"), False),
    ],
)
def test_neighbours_count_where_their_order_is_known_and_all_pairs_elsewhere(
    weights: np.ndarray, reader: onnx.NodeProto, possible: bool
) -> None:
    model = graph([DEQUANTIZED, reader], {"w": weights})
    assert integer_weights.can_be_cut_off(model, in_float=False) is possible
    assert not integer_weights.can_be_cut_off(model, in_float=True)


@pytest.mark.parametrize("in_float", [False, True])
@pytest.mark.parametrize(
    ("reader", "possible"),
    [
        (node("MatMulInteger", "x", "w"), True),
        (node("QLinearMatMul", "x", "s", "z", "w", "s", "z", "s", "z"), True),
        (node("DynamicQuantizeLSTM", "x", "w", "w", domain="com.microsoft"), True),
        (node("Relu", "x"), False),
    ],
)
def test_integer_kernels_multiply_whatever_is_dequantized(
    reader: onnx.NodeProto, possible: bool, in_float: bool
) -> None:
    assert integer_weights.can_be_cut_off(graph([reader], {"w": LARGE}), in_float=in_float) is possible


INNER = helper.make_graph([], "inner", [], [], [])


@pytest.mark.parametrize(
    ("nodes", "stored", "possible"),
    [
        ([helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(LARGE))], {}, True),
        ([helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(LARGE * np.float32(1)))], {}, False),
        ([helper.make_node("Cast", ["a"], ["w"], to=TensorProto.INT8)], {"a": LARGE.astype(np.int32)}, True),
        (
            [helper.make_node("Cast", ["a"], ["w"], to=TensorProto.INT8), DEQUANTIZED, node("MatMul", "x", "real")],
            {"a": helper.make_tensor("a", TensorProto.INT4, [4, 2], [7] * 8)},
            False,
        ),
        ([helper.make_node("QuantizeLinear", ["a", "scale"], ["w"])], {"a": LARGE * np.float32(0.01)}, True),
        ([helper.make_node("QuantizeLinear", ["x", "scale"], ["w"])], {}, False),
        ([node("If", "x", then_branch=INNER, else_branch=INNER)], {}, True),
        ([node("MatMul", "x", "a")], {"a": LARGE * np.float32(1)}, False),
        ([helper.make_node("Cast", ["w"], ["a"], to=TensorProto.FLOAT), node("MatMul", "x", "a")], {"w": LARGE}, False),
        ([helper.make_node("Cast", ["w"], ["a"], to=TensorProto.INT32), node("Einsum", "a")], {"w": LARGE}, True),
    ],
)
def test_what_cannot_be_seen_counts_as_large(
    nodes: list[onnx.NodeProto], stored: Mapping[str, np.ndarray | TensorProto], possible: bool
) -> None:
    assert integer_weights.can_be_cut_off(graph(nodes, stored), in_float=False) is possible


def chain(kinds: list[str], readers: int) -> onnx.ModelProto:
    """Layers of one width, all of them reading one constant, made of int8 or int4 weights by these operators."""
    small = "Cast" in kinds
    weights = np.random.default_rng(0).integers(-7, 8, (4, 4)) * (1 if small else 18)
    stored = {
        "w": helper.make_tensor("w", TensorProto.INT4, [4, 4], weights.ravel().tolist())
        if small
        else numpy_helper.from_array(weights.astype(np.int8), "w"),
        "zero": numpy_helper.from_array(np.zeros(4, np.int8), "zero"),
        "scales": numpy_helper.from_array(np.full(4, 0.2 if small else 0.01, np.float32), "scales"),
        "middle": numpy_helper.from_array(np.array(128, np.uint8), "middle"),
    }
    value, nodes = "w", []
    for place, kind in enumerate(sorted(kinds, key=["Cast", "Transpose", "Identity"].index)):
        attributes: dict[str, Any] = {"to": TensorProto.INT8} if kind == "Cast" else {}
        nodes.append(helper.make_node(kind, [value], [f"copy/{place}"], **attributes))
        value = f"copy/{place}"
    nodes.append(helper.make_node("DequantizeLinear", [value, "scales", "zero"], ["real"], axis=1))
    last = "x"
    for layer in range(readers):
        grid = ["scale", "middle"]
        nodes += [
            helper.make_node("QuantizeLinear", [last, *grid], [f"q{layer}"]),
            helper.make_node("DequantizeLinear", [f"q{layer}", *grid], [f"d{layer}"]),
            helper.make_node("MatMul", [f"d{layer}", "real"], [f"m{layer}"]),
        ]
        last = f"m{layer}"
    nodes += [helper.make_node("QuantizeLinear", [last, *grid], ["q"]), node("DequantizeLinear", "q", *grid)]
    return graph(nodes, stored)


@given(
    st.lists(st.sampled_from(["Cast", "Transpose", "Identity"]), unique=True),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)
def test_each_reader_gets_its_own_and_answers_stay(kinds: list[str], readers: int, named: bool, shown: bool) -> None:
    """However many operators stand between, named or not, and where the weights are an output, too."""
    images = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    model = chain(kinds, readers)
    for place, each in enumerate(model.graph.node if named else ()):
        each.name = f"node/{place}"
    if shown:
        model.graph.output.append(helper.make_tensor_value_info("real", TensorProto.FLOAT, [4, 4]))
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": images})[0]
    assert len(np.unique(expected)) > 2
    integer_weights.separate(model.graph)

    onnx.checker.check_model(model)
    reads = Counter(name for each in model.graph.node for name in each.input)
    integers = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT8}
    assert {reads[name] for name in integers} == {1}
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(exact_sums.OPTION, "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    np.testing.assert_array_equal(session.run(["y"], {"x": images})[0], expected)


def test_a_model_that_shares_nothing_stays_as_it_is() -> None:
    model = chain(["Transpose"], 1)
    before = model.SerializeToString(deterministic=True)
    integer_weights.separate(model.graph)
    assert model.SerializeToString(deterministic=True) == before
