"""ONNX in integers throughout, with the ranges and weights that quantization-aware training learned, exactly.

Training rounds behind an activation such as tanh or swish, or in front of it, but not on both sides. Where a layer with
learned weights lacks a range, its integer kernel gets that of the calibration images.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize, integer_ranges, qdq, uint8_input
from octavo.onnx_graph.qdq import Grid
from octavo.onnx_graph.rewrites import preparation
from octavo.project.errors import ModelError
from octavo.project.params.section import Model
from octavo.quantization import add_rounding, calibration, ptq, qat_ranges

LEARNED = True


class Options(Model):
    take_bytes: bool = False
    """Take uint8 images 0..255 instead of float32 0..1."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    if options.take_bytes:
        uint8_input.require(samples.calibration)
    model = canonicalize.load(exported / "model.onnx")
    if all(node.op_type != "QuantizeLinear" for node in model.graph.node):
        raise ModelError(f"{exported} has no learned ranges: 'onnx_int8_qat' needs a quantization-aware network.")
    preparation.prepare(model)
    _round_before_concat(model)
    _add_ranges(model, samples.calibration)
    del model.metadata_props[:]  # the export asks to be run in float
    learned_model = onnx.ModelProto()
    learned_model.CopyFrom(model)
    _restore(model)
    qat_ranges.check(learned_model, model)
    if options.take_bytes:
        uint8_input.take_bytes(model)
    canonicalize.save(model, target)


def _restore(model: onnx.ModelProto) -> None:
    """Put everything that was learned into integers, in place."""
    _keep_clips(model)
    qdq.store_integers(model, _learned_or_nearest)
    qdq.store_for_float(model, ("ConvTranspose",), qat_ranges.recover_grid)
    add_rounding.settle(model)


def _learned_or_nearest(weights: np.ndarray, axis: int) -> Grid:
    """The grid that `weights` lie on; the nearest one where training left a layer's weights in float.

    TFMOT does so behind padding, though it quantizes the layer's input and output.
    """
    return qat_ranges.recover_grid(weights, axis) or qdq.nearest(weights, axis)


def _round_before_concat(model: onnx.ModelProto) -> None:
    """Round what a Concat joins as its output is rounded, in place: the same values, from layers in integers."""
    readers, makers = qdq.consumers(model), qdq.producers(model)
    for node in reversed([node for node in model.graph.node if node.op_type == "Concat"]):
        following = readers.get(node.output[0], [])
        if [reader.op_type for reader in following] != ["QuantizeLinear"]:
            continue
        for name in dict.fromkeys(node.input):
            if name not in makers or makers[name].op_type == "DequantizeLinear":
                continue
            pair = _pair(name, list(following[0].input[1:]), f"{node.output[0]}/{name}")
            place = list(model.graph.node).index(node)
            for offset, each in enumerate(pair):
                model.graph.node.insert(place + offset, each)
            node.input[:] = [pair[1].output[0] if other == name else other for other in node.input]
            readers[name] = [pair[0] if reader is node else reader for reader in readers[name]]


def _add_ranges(model: onnx.ModelProto, images: np.ndarray) -> None:
    """Round the inputs and outputs of layers with learned weights that training left in float, in place."""
    known, makers, readers = qdq.constants(model), qdq.producers(model), qdq.consumers(model)
    lacking = []
    for node in [node for node in model.graph.node if qdq.is_layer(node, known)]:
        source, result = qdq.origin(node.input[0], makers), ptq.behind_clip(node, readers)
        weights = numpy_helper.to_array(known[node.input[qdq.WEIGHT_INPUT]])
        if qat_ranges.recover_grid(weights, qdq.OUTPUT_AXIS[node.op_type]) is None:
            continue
        if source not in makers or makers[source].op_type != "DequantizeLinear":
            lacking.append(source)
        stays_float = node.op_type in ptq.FLOAT_OUTPUT
        if not stays_float and all(reader.op_type != "QuantizeLinear" for reader in readers.get(result, [])):
            lacking.append(result)
    lacking = [name for name in dict.fromkeys(lacking) if name not in known]
    for name, seen in calibration.observe(model, lacking, images).items():
        qdq.insert_pair(model, name, *integer_ranges.uint8_parameters(*calibration.min_max(seen)))


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
        place = list(model.graph.node).index(clip)
        pair = _pair(clip.input[0], list(node.input[1:]), clip.input[0])
        for offset, each in enumerate(pair):
            model.graph.node.insert(place + offset, each)
        clip.input[0] = pair[1].output[0]


def _pair(value: str, parameters: list[str], name: str) -> list[onnx.NodeProto]:
    """A QuantizeLinear and DequantizeLinear of `value`; `name` begins the names of what they give."""
    return [
        helper.make_node("QuantizeLinear", [value, *parameters], [f"{name}/quantized"]),
        helper.make_node("DequantizeLinear", [f"{name}/quantized", *parameters], [f"{name}/dequantized"]),
    ]
