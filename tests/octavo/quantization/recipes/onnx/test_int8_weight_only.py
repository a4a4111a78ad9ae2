"""A quarter of the file at FP32's answers and speed."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from octavo.backends.registry import open_model
from octavo.data.splits import Samples, Split
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize
from octavo.quantization import recipes
from tests.octavo import onnx_graphs as graphs


@pytest.mark.slow
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_quarter_of_the_file_answers_like_fp32(
    per_channel: bool, exported: Path, samples: Samples, images: np.ndarray, tmp_path: Path
) -> None:
    path, fp32 = tmp_path / "model.onnx", exported / "fp32/model.onnx"
    recipes.quantize("onnx_int8_weight_only", exported / "fp32", path, samples, {"per_channel": per_channel})
    got, wanted = open_model(path)(images), open_model(fp32)(images)
    assert path.stat().st_size < 0.27 * fp32.stat().st_size
    assert np.sqrt(np.mean((got - wanted) ** 2) / np.mean(wanted**2)) < 0.02
    assert (got.argmax(1) == wanted.argmax(1)).mean() >= 0.99


def written(model: onnx.ModelProto, folder: Path) -> Path:
    canonicalize.save(model, folder / "exported/model.onnx")
    seen = Samples(graphs.images(), Split(graphs.images(), np.zeros(64, np.int64)))
    recipes.quantize("onnx_int8_weight_only", folder / "exported", folder / "model.onnx", seen, {})
    return folder / "model.onnx"


def test_weights_are_integers_and_compute_is_float(tmp_path: Path) -> None:
    shown = integer_coverage.prove(written(graphs.stack(2), tmp_path))
    assert (shown.integer_weight_share, shown.integer_compute_share) == (1, 0)


def test_plain_onnxruntime_turns_weights_back_while_it_loads(tmp_path: Path) -> None:
    """Without any session option: what is left to run is the float network."""
    path = written(graphs.stack(2), tmp_path)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    left = {node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node}
    assert left.isdisjoint({"Cast", "Mul", "DequantizeLinear"})
    assert not onnx.load(path).metadata_props
