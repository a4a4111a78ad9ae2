"""Training, quantization-aware training and export, each run for real in a process of its own."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import numpy_helper

pytestmark = pytest.mark.slow


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_second_process_gives_the_same_bytes(exported: Path, train_network: Callable[[str], Path]) -> None:
    assert digests(train_network("small_cnn")) == digests(exported)
    assert {path.split("/")[-1] for path in digests(exported)} == {
        "weights.h5", "curve.csv", "model.onnx", "layers.json", "saved_model.pb", "keras_logits.npy",
    }  # fmt: skip


def test_training_learns_and_its_curve_has_a_row_an_epoch(exported: Path) -> None:
    for name in ("fp32", "qat"):
        curve = pd.read_csv(exported / name / "curve.csv")
        assert list(curve) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
        assert list(curve["epoch"]) == [0, 1, 2, 3]
        assert curve["val_accuracy"].iloc[-1] > 0.85


def test_activation_ranges_come_from_the_data_not_from_tfmots_start(exported: Path) -> None:
    """Untouched, a ReLU's minimum would stand near -6 and its zero point above 0."""
    graph = onnx.load(exported / "qat" / "model.onnx").graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    (pixels_range, relu_range, _) = [(values[node.input[1]] * 255, values[node.input[2]]) for node in nodes]
    np.testing.assert_allclose(pixels_range[0], 1, rtol=1e-3)
    assert pixels_range[1] == 0
    assert relu_range[1] == 0
