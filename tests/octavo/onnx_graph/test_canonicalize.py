"""Canonical ONNX: the same computation, fewer bytes, one form whatever the names were."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from octavo.backends.registry import open_model
from octavo.onnx_graph import canonicalize

WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)


def model(prefix: str = "", shuffled: bool = False) -> onnx.ModelProto:
    """Y = relu(x @ w + b + b) with everything a converter may leave behind."""
    values = {f"{prefix}w": WEIGHTS, f"{prefix}b1": np.ones(3, np.float32), f"{prefix}b2": np.ones(3, np.float32)}
    initializers = [numpy_helper.from_array(array, name) for name, array in values.items()]
    nodes = [
        helper.make_node("Gemm", ["x", f"{prefix}w", f"{prefix}b1"], [f"{prefix}h"], name=f"{prefix}1", alpha=1.0),
        helper.make_node("Constant", [], [f"{prefix}c"], value=numpy_helper.from_array(np.zeros(3, np.float32))),
        helper.make_node("Add", [f"{prefix}h", f"{prefix}c"], [f"{prefix}unread"], doc_string="nobody reads this"),
        helper.make_node("Add", [f"{prefix}h", f"{prefix}b2"], [f"{prefix}s"]),
        helper.make_node("Relu", [f"{prefix}s"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in (("x", 4), ("y", 3))]
    graph = helper.make_graph(nodes, f"{prefix}graph", ends[:1], ends[1:], initializers[:: -1 if shuffled else 1])
    graph.value_info.append(helper.make_tensor_value_info(f"{prefix}h", TensorProto.FLOAT, ["N", 3]))
    made = helper.make_model(graph, producer_name="converter", opset_imports=[helper.make_opsetid("", 17)])
    made.metadata_props.add(key="made", value="by a converter")
    return made


def test_names_and_their_order_leave_no_trace() -> None:
    forms = {canonicalize.canonical(made).SerializeToString() for made in (model(), model("long/name/", shuffled=True))}
    assert len(forms) == 1


def test_numbered_free_dimensions_leave_no_trace() -> None:
    counted, again = model(), model()
    for number, made in ((7, counted), (2133, again)):
        for end in (*made.graph.input, *made.graph.output):
            end.type.tensor_type.shape.dim[0].dim_param = f"unk__{number}"
    assert canonicalize.canonical(counted) == canonicalize.canonical(again)


def test_it_computes_the_same(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    onnx.save(model(), tmp_path / "plain.onnx")
    canonicalize.save(model(), tmp_path / "canonical.onnx")
    np.testing.assert_array_equal(
        open_model(tmp_path / "canonical.onnx")(images), open_model(tmp_path / "plain.onnx")(images)
    )
    assert (tmp_path / "canonical.onnx").stat().st_size < (tmp_path / "plain.onnx").stat().st_size


def test_what_does_not_compute_is_gone_and_the_ends_keep_their_names() -> None:
    made = canonicalize.canonical(model())
    graph = made.graph
    assert [value.name for value in (*graph.input, *graph.output)] == ["x", "y"]
    assert [node.op_type for node in graph.node] == ["Gemm", "Add", "Relu"]
    assert len(graph.initializer) == 2
    assert [len(field) for field in (graph.node[0].attribute, graph.value_info, made.metadata_props)] == [0, 0, 0]
    assert made.producer_name == ""


def test_operators_are_known_by_their_layers_beside_the_file(tmp_path: Path) -> None:
    named, path = model(), tmp_path / "model.onnx"
    for node in named.graph.node:
        node.doc_string = {"Relu": "activation", "Gemm": "dense", "Add": "dense"}.get(node.op_type, "")
    canonicalize.save(named, path)
    assert [node.doc_string for node in onnx.load(path).graph.node] == ["", "", ""]
    assert [node.doc_string for node in canonicalize.load(path).graph.node] == ["dense", "dense", "activation"]
    again = tmp_path / "again" / "model.onnx"
    canonicalize.save(canonicalize.load(path), again)
    assert canonicalize.layers(again) == canonicalize.layers(path) == {"c": "dense", "d": "dense", "y": "activation"}


def test_it_is_done_once() -> None:
    once = canonicalize.canonical(model())
    assert canonicalize.canonical(once) == once


def test_a_graph_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    broken = model()
    broken.graph.node[0].op_type = "Gem"
    with pytest.raises(onnx.checker.ValidationError):
        canonicalize.save(broken, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def branching(captured: str, made: str) -> onnx.ModelProto:
    """Two branches that read what lies around them, a constant and a value that nothing else reads."""

    def branch(operator: str, result: str) -> onnx.GraphProto:
        target = helper.make_tensor_value_info(result, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(operator, [made, captured], [result])], "branch", [], [target])

    choice = helper.make_node(
        "If", ["yes"], ["y"], then_branch=branch("Mul", "product"), else_branch=branch("Add", "sum")
    )
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], [made]), choice],
        "g",
        [ends[0], helper.make_tensor_value_info("yes", TensorProto.BOOL, [])],
        ends[1:],
        [numpy_helper.from_array(np.array(3, np.float32), captured)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_graphs_within_graphs_keep_what_they_read() -> None:
    first, second = (canonicalize.canonical(branching(*names)) for names in (("a", "b"), ("three", "negated")))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
    session = onnxruntime.InferenceSession(first.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.array([1, 2], np.float32)
    np.testing.assert_array_equal(session.run(None, {"x": x, "yes": np.array(True)})[0], [-3, -6])
    np.testing.assert_array_equal(session.run(None, {"x": x, "yes": np.array(False)})[0], [2, 1])
