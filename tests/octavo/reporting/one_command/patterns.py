"""Images of four kinds of stripes, and a small network that tells them apart: made by NumPy and onnx alone."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE = 16
KINDS = ("checks", "columns", "diagonals", "rows")
MEAN, STD = (0.5, 0.4, 0.6), (0.25, 0.3, 0.2)
OPTIONS: dict[str, Any] = {
    "calibration": None,
    "test": None,
    "recipes": (),
    "format": None,
    "seconds": 0.0,
    "out": None,
    "scale": None,
    "mean": MEAN,
    "std": STD,
    "layout": None,
    "register": False,
    "unlabelled": False,
    "as_json": True,
}
"""Of the command, for `network`."""


def images(n: int, seed: int = 0, noise: float = 60) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (n, 16, 16, 3) and int64 (n,), all different."""
    generator = np.random.default_rng(seed)
    down, right = np.mgrid[:SIDE, :SIDE]
    labels = np.arange(n) % len(KINDS)
    phases = generator.integers(0, 4, n)
    waves = [down + right, right, down + 2 * right, down]
    stripes = np.stack([((waves[label] + phase) // 2 % 2) for label, phase in zip(labels, phases, strict=True)])
    stripes[labels == 0] = np.stack([((down + p) // 2 + (right + p) // 2) % 2 for p in phases[labels == 0]])
    pixels = 128 + 50 * (2 * stripes[..., None] - 1) + generator.normal(0, noise, (n, SIDE, SIDE, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8), labels.astype(np.int64)


def encoded(pixels: np.ndarray) -> np.ndarray:
    """What the network takes, written down once more: float32 (N, 3, 16, 16)."""
    real = (pixels.astype(np.float32) / np.float32(255) - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(real.transpose(0, 3, 1, 2))


def network(path: Path, channels: int = 16) -> Path:
    """A float network of one convolution and one dense layer, fitted to images by least squares, NCHW."""
    generator = np.random.default_rng(1)
    kernel = generator.normal(0, 0.3, (channels, 3, 4, 4)).astype(np.float32)
    pixels, labels = images(800, seed=9)
    windows = np.lib.stride_tricks.sliding_window_view(encoded(pixels), (4, 4), (2, 3))
    values = np.maximum(np.einsum("nchwij,ocij->nohw", windows, kernel, optimize=True), 0).mean((2, 3))
    features = np.concatenate([values, np.ones((len(values), 1))], 1)
    wanted = 4 * np.eye(len(KINDS))[labels]
    weights = np.linalg.solve(features.T @ features + 1e-3 * np.eye(features.shape[1]), features.T @ wanted)
    stored = {
        "kernel": kernel,
        "weights": weights[:-1].astype(np.float32),
        "bias": weights[-1].astype(np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["photo", "kernel"], ["maps"], name="first"),
            helper.make_node("Relu", ["maps"], ["positive"]),
            helper.make_node("GlobalAveragePool", ["positive"], ["means"]),
            helper.make_node("Flatten", ["means"], ["features"]),
            helper.make_node("Gemm", ["features", "weights", "bias"], ["scores"], name="last"),
        ],
        "patterns",
        [helper.make_tensor_value_info("photo", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", len(KINDS)])],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def folder(root: Path, n: int, seed: int = 0, labelled: bool = True) -> Path:
    """PNG files, in a folder for each kind, or all in one."""
    for place, (pixels, label) in enumerate(zip(*images(n, seed), strict=True)):
        path = root.joinpath(*[KINDS[label]] * labelled, f"{place:04}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return root
