"""The proof of INT8 sees through a file that only looks quantized."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from octavo.backends.onnxruntime import inspection
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize, qdq, session_options

FLOAT_WEIGHTS = np.linspace(-1, 1, 8 * 3 * 3 * 3, dtype=np.float32).reshape(8, 3, 3, 3)


def convolution(activations: bool, weights: bool) -> onnx.ModelProto:
    """One convolution on (N, 3, 6, 6), its activations and its weights in integers or not."""
    scale, zero = (
        numpy_helper.from_array(np.array(0.1, np.float32), "s"),
        numpy_helper.from_array(np.array(0, np.uint8), "z"),
    )
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["qx"]),
        helper.make_node("DequantizeLinear", ["qx", "s", "z"], ["dx"]),
        helper.make_node("Conv", ["dx", "w", "b"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["qc"]),
        helper.make_node("DequantizeLinear", ["qc", "s", "z"], ["y"]),
    ]
    if not activations:
        nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"])]
    shapes: dict[str, list[str | int | None]] = {"x": ["N", 3, 6, 6], "y": ["N", 8, 4, 4]}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    parameters = [numpy_helper.from_array(FLOAT_WEIGHTS, "w"), numpy_helper.from_array(np.ones(8, np.float32), "b")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], [*parameters, scale, zero]),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    if weights:
        grid = qdq.nearest(FLOAT_WEIGHTS, 0)
        qdq.insert_dequantized(model, "w", grid)
        bias = qdq.Grid(np.rint(1 / (0.1 * grid.scale)).astype(np.int32), np.float32(0.1) * grid.scale, 0)
        qdq.insert_dequantized(model, "b", bias)
    return model


@pytest.mark.parametrize(
    ("activations", "weights", "stored", "computed"),
    [(True, True, 1, 1), (True, False, 0, 1), (False, True, 1, 0), (False, False, 0, 0)],
)
def test_shares_of_storage_and_of_compute(
    activations: bool, weights: bool, stored: float, computed: float, tmp_path: Path
) -> None:
    """Float weights between integer activations are quantized by onnxruntime as it loads them: computed, not stored."""
    path = tmp_path / "model.onnx"
    canonicalize.save(convolution(activations, weights), path)
    shown = integer_coverage.prove(path)
    assert (shown.integer_weight_share, shown.integer_compute_share) == (stored, computed)
    assert [node.operator for node in shown.float_nodes] == ([] if computed else ["Conv"])


def test_multiply_accumulates_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    canonicalize.save(convolution(activations=True, weights=True), path)
    assert sum(operator.macs or 0 for operator in inspection.operators(path)) == 8 * 4 * 4 * 3 * 3 * 3


def test_size_against_baseline_and_floor(tmp_path: Path) -> None:
    integer, real = tmp_path / "integer.onnx", tmp_path / "real.onnx"
    canonicalize.save(convolution(activations=True, weights=True), integer)
    canonicalize.save(convolution(activations=False, weights=False), real)
    size = integer_coverage.measure_size(integer, real)
    floor = FLOAT_WEIGHTS.size + 4 * 8
    assert size.weight_bytes == floor
    assert size.file_bytes == integer.stat().st_size
    assert size.ratio == pytest.approx(integer.stat().st_size / real.stat().st_size)
    assert size.floor_ratio == pytest.approx(integer.stat().st_size / floor)


def test_how_a_file_is_called_is_read_from_it(tmp_path: Path) -> None:
    model = convolution(activations=True, weights=True)
    session_options.ask(model, session_options.RUN_IN_FLOAT)
    canonicalize.save(model, tmp_path / "model.onnx")
    interface = integer_coverage.interface(tmp_path / "model.onnx")
    assert (str(interface.input), str(interface.output)) == ("float32 (N, 3, 6, 6)", "float32 (N, 8, 4, 4)")
    assert (interface.input.name, interface.output.name) == ("x", "y")
    assert interface.session_options == {"session.disable_quant_qdq": "1"}
