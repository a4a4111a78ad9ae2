"""Make what a user of Octavo already has: `net.onnx`, as PyTorch's exporter writes it, and `photos/`, to measure it on.

The network has seen other figures than those in `photos/`: its convolutions are random, its last layer is fitted by
least squares.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

KINDS = ("circle", "cross", "square", "triangle")
SIDE = 32
MEAN, STD = 0.5, 0.25
CHANNELS = (3, 16, 32, 64)
CONVOLUTION = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1], "group": 1}
POOLING = {"kernel_shape": [2, 2], "strides": [2, 2]}
PENALTY = 100
"""On large weights of the last layer."""


def figures(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Dark figures on light paper, uint8 (n, 32, 32, 3), and their kinds, int64 (n,)."""
    generator = np.random.default_rng(seed)
    down, right = np.mgrid[:SIDE, :SIDE]
    images, labels = np.empty((n, SIDE, SIDE, 3), np.uint8), np.arange(n) % len(KINDS)
    for place, label in enumerate(labels):
        (y, x), size, turn = generator.uniform(13, 19, 2), generator.uniform(6, 11), generator.uniform(-0.25, 0.25)
        u = (np.cos(turn) * (right - x) + np.sin(turn) * (down - y)) / size
        v = (np.cos(turn) * (down - y) - np.sin(turn) * (right - x)) / size
        near, far = np.minimum(abs(u), abs(v)), np.maximum(abs(u), abs(v))
        inside = (u**2 + v**2 < 1, (near < 0.33) & (far < 1), far < 0.87, (v < 0.6) & (abs(u) < 0.7 + 0.6 * v))[label]
        paper, ink = generator.uniform(150, 255, 3), generator.uniform(0, 100, 3)
        pixels = np.where(inside[..., None], ink, paper) + generator.normal(0, 12, (SIDE, SIDE, 3))
        images[place] = np.clip(pixels, 0, 255)
    return images, labels


def encoded(images: np.ndarray) -> np.ndarray:
    """What the network takes: float32 (N, 3, 32, 32)."""
    return ((images.transpose(0, 3, 1, 2) / 255 - MEAN) / STD).astype(np.float32)


def features(images: np.ndarray, kernels: list[np.ndarray]) -> np.ndarray:
    """What the last layer takes: float32 (N, F)."""
    maps = encoded(images)
    for kernel in kernels:
        padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
        maps = np.maximum(np.tensordot(windows, kernel, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2), 0)
        n, channels, height, width = maps.shape
        maps = maps.reshape(n, channels, height // 2, 2, width // 2, 2).max((3, 5))
    return maps.reshape(len(images), -1)


def last_layer(kernels: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Weights (classes, F) and bias (classes,), by least squares."""
    images, labels = figures(2000, seed=1)
    found = np.concatenate([features(images[start : start + 100], kernels) for start in range(0, len(images), 100)])
    mean, wanted = found.mean(0, dtype=float), np.eye(len(KINDS))[labels]
    centred = found - mean
    weights = np.linalg.solve(centred.T @ centred + PENALTY * np.eye(len(mean)), centred.T @ wanted).T
    return weights, wanted.mean(0) - weights @ mean


def network() -> onnx.ModelProto:
    generator, kernels = np.random.default_rng(0), list[np.ndarray]()
    for channels, filters in pairwise(CHANNELS):
        kernel = generator.normal(0, (2 / (9 * channels)) ** 0.5, (filters, channels, 3, 3))
        kernels.append(kernel.astype(np.float32))
    nodes, weights, source = [], dict[str, np.ndarray](), "input"
    for number, kernel in enumerate(kernels, 1):
        weights |= {f"conv{number}.weight": kernel, f"conv{number}.bias": np.zeros(len(kernel))}
        for name, taken, options in (
            (f"/conv{number}/Conv", [source, f"conv{number}.weight", f"conv{number}.bias"], CONVOLUTION),
            (f"/relu{number}/Relu", [f"/conv{number}/Conv_output_0"], {}),
            (f"/pool{number}/MaxPool", [f"/relu{number}/Relu_output_0"], POOLING),
        ):
            source = f"{name}_output_0"
            nodes.append(helper.make_node(name.rsplit("/")[-1], taken, [source], name, **options))
    weights["fc.weight"], weights["fc.bias"] = last_layer(kernels)
    nodes.append(helper.make_node("Flatten", [source], ["/Flatten_output_0"], "/Flatten", axis=1))
    taken = ["/Flatten_output_0", "fc.weight", "fc.bias"]
    nodes.append(helper.make_node("Gemm", taken, ["output"], "/fc/Gemm", alpha=1.0, beta=1.0, transB=1))
    graph = helper.make_graph(
        nodes,
        "main_graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", len(KINDS)])],
        [numpy_helper.from_array(each.astype(np.float32), name) for name, each in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    onnx.save(network(), "net.onnx")
    for number, (image, label) in enumerate(zip(*figures(1500, seed=2), strict=True)):
        path = Path("photos", KINDS[label], f"{number:04}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    np.save("new.npy", figures(5, seed=3)[0])
    print("made: net.onnx, 1,500 images in photos/, and 5 others in new.npy")
