"""ONNX in integers throughout, with the ranges and weights that quantization-aware training learned, exactly."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from pipeline import byte_input, canonical, learned, preparation, qdq, sums
from pipeline.errors import ModelError
from pipeline.params import Model
from pipeline.qdq import Grid
from pipeline.splits import Samples

SOURCES = ("qat",)


class Options(Model):
    take_bytes: bool = False
    """Take uint8 images 0..255 instead of float32 0..1."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    if options.take_bytes:
        byte_input.require(samples.calibration)
    model = canonical.load(exported / "model.onnx")
    if all(node.op_type != "QuantizeLinear" for node in model.graph.node):
        raise ModelError(f"{exported} has no learned ranges: recipe 'qat_int8' needs source 'qat'.")
    del model.metadata_props[:]  # the export asks to be run in float
    preparation.prepare(model)
    learned_model = onnx.ModelProto()
    learned_model.CopyFrom(model)
    _restore(model)
    learned.check(learned_model, model)
    if options.take_bytes:
        byte_input.take_bytes(model)
    canonical.save(model, target)


def _restore(model: onnx.ModelProto) -> None:
    """Put everything that was learned into integers, in place."""
    _keep_clips(model)
    qdq.store_integers(model, _learned_or_nearest)
    qdq.store_for_float(model, ("ConvTranspose",), learned.recover_grid)
    sums.settle(model)


def _learned_or_nearest(weights: np.ndarray, axis: int) -> Grid:
    """The grid that `weights` lie on; the nearest one where training left a layer's weights in float.

    TFMOT does so behind padding, though it quantizes the layer's input and output.
    """
    return learned.recover_grid(weights, axis) or qdq.nearest(weights, axis)


def _keep_clips(model: onnx.ModelProto) -> None:
    """Quantize in front of a clip, too, where its learned zero point would not do the clipping.

    A zero point of 0 cuts off what lies below zero by itself, and onnxruntime drops the clip. Above 0 it must stay,
    and needs integers in front of it so that the operator before it still runs in them.
    """
    constants, makers = qdq.initializers(model), qdq.producers(model)
    for node in [node for node in model.graph.node if node.op_type == "QuantizeLinear"]:
        clip = makers.get(node.input[0])
        if clip is None or clip.op_type not in qdq.CLIPS or int(constants[node.input[2]]) == 0:
            continue
        value, place = clip.input[0], list(model.graph.node).index(clip)
        pair = [f"{value}/quantized", f"{value}/dequantized"]
        model.graph.node.insert(place, helper.make_node("DequantizeLinear", [pair[0], *node.input[1:]], [pair[1]]))
        model.graph.node.insert(place, helper.make_node("QuantizeLinear", [value, *node.input[1:]], [pair[0]]))
        clip.input[0] = pair[1]
