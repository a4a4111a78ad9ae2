# /// script
# requires-python = "==3.11.*"
# dependencies = ["nncf==3.4.0", "onnx==1.20.1", "onnxruntime==1.32.0"]
# ///
"""NNCF: `uv run --script with_nncf.py MODEL.onnx CALIBRATION.npy OUTPUT.onnx [SELECTION.npz]`.

Given `images` (as the model takes them) and `labels` to watch, it runs with accuracy control: 0.1 points may be lost.
"""

import os
import sys
from collections.abc import Iterable

os.environ["NNCF_CI"] = "1"  # sends nothing to anyone then; read when nncf is imported

import nncf  # type: ignore[import-not-found] # lives in its own environment
import numpy as np
import onnx
import onnxruntime

MAX_DROP = 0.001


def quantize(model: str, calibration: np.ndarray, target: str) -> None:
    samples = nncf.Dataset(calibration, _feed)
    onnx.save(nncf.quantize(onnx.load(model), samples, subset_size=len(calibration)), target)


def quantize_with_accuracy_control(model: str, calibration: np.ndarray, target: str, selection: str) -> None:
    watched = np.load(selection)
    quantized = nncf.quantize_with_accuracy_control(
        onnx.load(model),
        nncf.Dataset(calibration, _feed),
        nncf.Dataset(list(zip(watched["images"], watched["labels"], strict=True)), lambda pair: _feed(pair[0])),
        _accuracy,
        max_drop=MAX_DROP,
        subset_size=len(calibration),
    )
    onnx.save(quantized, target)


def _feed(image: np.ndarray) -> dict[str, np.ndarray]:
    return {"images": image[np.newaxis]}


def _accuracy(model: onnx.ModelProto, pairs: Iterable[tuple[np.ndarray, int]]) -> tuple[float, list[float]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    hits = [float(session.run(None, _feed(image))[0].argmax() == label) for image, label in pairs]
    return float(np.mean(hits)), hits


if __name__ == "__main__":
    run = quantize_with_accuracy_control if len(sys.argv) > 4 else quantize
    run(sys.argv[1], np.load(sys.argv[2]), *sys.argv[3:])
