"""What was learned is recovered exactly, and an INT8 graph that has not all of it is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import numpy_helper

from octavo.data.splits import Samples
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize, qdq
from octavo.project.errors import ModelError
from octavo.quantization import recipes
from octavo.quantization.learned import ranges as qat_ranges

integers = arrays(np.int8, st.tuples(st.integers(1, 4), st.integers(4, 40)), elements=st.integers(-127, 127))
Plant = Callable[[onnx.ModelProto], None]


@given(integers, st.lists(st.floats(1e-4, 10), min_size=4, max_size=4))
def test_weights_on_a_grid_come_back_without_rounding(steps: np.ndarray, scales: list[float]) -> None:
    """As after folding batch normalization: every channel's grid has been rescaled."""
    weights = (steps * np.array(scales[: len(steps)], np.float32)[:, None]).astype(np.float32)
    grid = qat_ranges.recover_grid(weights, 0)
    assert grid is not None
    scale = grid.scale if grid.axis is None else grid.scale[:, None]
    np.testing.assert_allclose(grid.integers * scale, weights, rtol=1e-5)


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.3, -5.0, 0.0]])
def test_one_weight_a_channel_gets_the_finest_grid(weights: list[float]) -> None:
    """As batch normalization on its own has it: a bias is rounded to multiples of the scale."""
    kernel = np.array(weights, np.float32).reshape(3, 1, 1, 1)
    grid = qat_ranges.recover_grid(kernel, 0)
    assert grid is not None
    np.testing.assert_allclose(grid.integers * grid.scale.reshape(3, 1, 1, 1), kernel, rtol=1e-6)
    assert set(np.abs(grid.integers.astype(int)).ravel()) <= {0, 127}


def test_weights_that_were_never_quantized_are_recognized() -> None:
    assert qat_ranges.recover_grid(np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32), 0) is None


def delete_pair(model: onnx.ModelProto) -> None:
    """The pair behind the first clip."""
    quantize = next(node for node in model.graph.node if node.op_type == "QuantizeLinear" and node.input[0] != "images")
    (dequantize,) = qdq.consumers(model)[quantize.output[0]]
    for node in model.graph.node:
        node.input[:] = [quantize.input[0] if name == dequantize.output[0] else name for name in node.input]
    for node in (quantize, dequantize):
        model.graph.node.remove(node)


def rescale(operator: str, places: slice) -> Plant:
    """A scale wrong by 2%, of what the operator's inputs at `places` are read through or the operator itself reads."""

    def plant(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.op_type == operator and node.input[0] != "images")
        readers = [reader for name in node.output for reader in qdq.consumers(model)[name]]
        for end in [node, *readers][places]:
            scale = qdq.initializers(model)[end.input[1]]
            model.graph.initializer.append(
                numpy_helper.from_array(np.asarray(scale * np.float32(1.02)), f"{end.output[0]}/2%")
            )
            end.input[1] = f"{end.output[0]}/2%"

    return plant


def leave_weights_in_float(model: onnx.ModelProto) -> None:
    constants, makers = qdq.initializers(model), qdq.producers(model)
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    dequantize = makers[gemm.input[1]]
    real = qat_ranges._real(dequantize, constants)
    model.graph.node.remove(dequantize)
    model.graph.initializer.append(numpy_helper.from_array(real, gemm.input[1]))


def drop_zero_point(kind: str) -> Plant:
    def plant(model: onnx.ModelProto) -> None:
        constants = qdq.initializers(model)
        weights = [node for node in model.graph.node if node.input[0] in constants and len(node.input) == 3]
        pairs = [node for node in model.graph.node if node.op_type == kind and node not in weights]
        node = weights[0] if kind == "weights" else pairs[0]
        assert constants[node.input[2]].max() == 0
        del node.input[2]

    return plant


DEFECTS: dict[str, tuple[Plant, str]] = {
    "a pair deleted": (delete_pair, "range of scale .* is lost"),
    "a pair's scale": (rescale("QuantizeLinear", slice(0, 2)), "range of scale .* is lost"),
    "a scale on the way in": (rescale("QuantizeLinear", slice(0, 1)), "is quantized at scale .* and dequantized at"),
    "a scale on the way out": (rescale("QuantizeLinear", slice(1, 2)), "is quantized at scale .* and dequantized at"),
    "a weight's scale": (rescale("DequantizeLinear", slice(0, 1)), "the weights of '.*' are different"),
    "weights in float": (leave_weights_in_float, "the weights of '.*' are float"),
    "a weight's zero point": (drop_zero_point("weights"), "DequantizeLinear of '.*' has no zero point"),
    "an activation's zero point": (drop_zero_point("QuantizeLinear"), "QuantizeLinear of '.*' has no zero point"),
}
SEEN_BY_PROOF = ("a pair deleted", "weights in float", "a weight's zero point")
"""Defects after which the graph that runs has a float operator or float weights: the scorecard says so."""


@pytest.fixture(scope="module")
def good(exported: Path, samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "model.onnx"
    recipes.quantize("onnx_int8_qat", exported / "qat", path, samples, {})
    return path


@pytest.mark.slow
def test_a_good_file_passes(good: Path, exported: Path) -> None:
    qat_ranges.check(onnx.load(exported / "qat" / "model.onnx"), onnx.load(good))


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect: str, good: Path, exported: Path, tmp_path: Path) -> None:
    plant, message = DEFECTS[defect]
    model = onnx.load(good)
    plant(model)
    with pytest.raises(ModelError, match=message):
        qat_ranges.check(onnx.load(exported / "qat" / "model.onnx"), model)
    canonicalize.save(model, tmp_path / "model.onnx")
    shown = integer_coverage.prove(tmp_path / "model.onnx")
    whole = shown.integer_weight_share == shown.integer_compute_share == 1
    assert whole is (defect not in SEEN_BY_PROOF)


@pytest.mark.slow
def test_the_recipe_writes_no_file_that_does_not_pass(
    exported: Path, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = qdq.store_integers

    def defective(model: onnx.ModelProto, *arguments: Any, **options: Any) -> None:
        restore(model, *arguments, **options)
        leave_weights_in_float(model)

    monkeypatch.setattr(qdq, "store_integers", defective)
    with pytest.raises(ModelError, match=r"INT8 graph is not what the network learned: the weights of '.*' are float"):
        recipes.quantize("onnx_int8_qat", exported / "qat", tmp_path / "model.onnx", samples, {})
    assert list(tmp_path.iterdir()) == []
