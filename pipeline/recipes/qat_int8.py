"""ONNX in integers throughout, with the ranges that quantization-aware training learned, exactly.

tf2onnx keeps the learned ranges of activations as QuantizeLinear/DequantizeLinear, but folds the fake quantization
of weights into float32 constants. Those lie on an integer grid still (folding batch normalization only rescales each
channel's grid), so that the scale can be read off the constants and the integers put back without any rounding.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from pipeline import canonical, qdq, quantizer
from pipeline.errors import ModelError
from pipeline.params import Model
from pipeline.qdq import Grid
from pipeline.splits import Samples

ROUNDING = 1e-5
"""How far a weight may lie from its integer, relative to it: float32 and a folded scale stay below 1e-6."""
CLIPS = ("Relu", "Clip")


class Options(Model):
    take_bytes: bool = False
    """Take uint8 images 0..255 instead of float32 0..1."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    model = onnx.load(exported / "model.onnx")
    if all(node.op_type != "QuantizeLinear" for node in model.graph.node):
        raise ModelError(f"{exported} has no learned ranges: recipe 'qat_int8' needs source 'qat'.")
    qdq.fuse_gemm(model)
    _keep_clips(model)
    qdq.store_integers(model, recover_grid)
    if options.take_bytes:
        quantizer.take_bytes(model)
    canonical.save(model, target)


def recover_grid(weights: np.ndarray, axis: int) -> Grid | None:
    """The int8 grid that float32 `weights` lie on: one for all where it fits, else one a channel along `axis`.

    Returns:
        The grid, or None where the weights were never fake-quantized.
    """
    axis %= weights.ndim
    whole = _steps(weights.ravel())
    if whole is not None:
        return Grid(np.rint(weights / whole).astype(np.int8), np.array(whole, np.float32), None)
    channels = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
    scales = [_steps(channel) for channel in channels]
    if None in scales:
        return None
    scale = np.array(scales, dtype=np.float64)
    integers = np.rint(channels / scale[:, None]).reshape(np.moveaxis(weights, axis, 0).shape)
    return Grid(np.moveaxis(integers, 0, axis).astype(np.int8), scale.astype(np.float32), axis)


def _steps(weights: np.ndarray) -> float | None:
    """The largest scale of which all `weights` are multiples by -127..127, refined by least squares."""
    peak = float(np.abs(weights).max(initial=0))
    if peak == 0:
        return 1.0
    for levels in range(1, 128):
        steps = weights.astype(np.float64) * (levels / peak)
        integers = np.rint(steps)
        if (np.abs(steps - integers) <= ROUNDING * np.abs(integers)).all():
            return float(weights.astype(np.float64) @ integers / (integers @ integers))
    return None


def _keep_clips(model: onnx.ModelProto) -> None:
    """Quantize in front of a clip, too, where its learned zero point would not do the clipping.

    A zero point of 0 cuts off what lies below zero by itself, and onnxruntime drops the clip. Above 0 it must stay,
    and needs integers in front of it so that the operator before it still runs in them.
    """
    constants, makers = qdq.initializers(model), qdq.producers(model)
    for node in [node for node in model.graph.node if node.op_type == "QuantizeLinear"]:
        clip = makers.get(node.input[0])
        if clip is None or clip.op_type not in CLIPS or int(constants[node.input[2]]) == 0:
            continue
        value, place = clip.input[0], list(model.graph.node).index(clip)
        pair = [f"{value}/quantized", f"{value}/dequantized"]
        model.graph.node.insert(place, helper.make_node("DequantizeLinear", [pair[0], *node.input[1:]], [pair[1]]))
        model.graph.node.insert(place, helper.make_node("QuantizeLinear", [value, *node.input[1:]], [pair[0]]))
        clip.input[0] = pair[1]
