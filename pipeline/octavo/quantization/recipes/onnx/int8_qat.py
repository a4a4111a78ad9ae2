"""ONNX in full integer form, with exactly the ranges and weights that quantization-aware training learned.

Training quantizes either before or after an activation such as tanh or swish, but not on both sides. If a layer with
learned weights has no learned range, its integer kernel gets a range from the calibration images.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize, integer_ranges, qdq
from octavo.onnx_graph.qdq import Grid
from octavo.onnx_graph.rewrites import network_input, preparation
from octavo.project.errors import ModelError
from octavo.project.params.section import Model
from octavo.quantization import add_rounding, calibration, ptq, qat_ranges

LEARNED = True


class Options(Model):
    take_bytes: bool = False
    """The model takes uint8 images 0..255 as they are stored, and does itself what the input encoding says."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write an ONNX file in full integer form with the learned ranges and weights.

    Args:
        exported: folder with `model.onnx` of a quantization-aware network.
        target: the file to write.
        samples: calibration images, for layers without a learned range.
        options: type of the model's input.

    Raises:
        ModelError: the network has no learned ranges, the result does not keep all of them, or float images do not fit
            the option `take_bytes`.
    """
    if options.take_bytes:
        network_input.require(samples.calibration)
    model = canonicalize.load(exported / "model.onnx")
    if all(node.op_type != "QuantizeLinear" for node in model.graph.node):
        raise ModelError(f"{exported} has no learned ranges: 'onnx_int8_qat' needs a quantization-aware network.")
    preparation.prepare(model)
    _round_before_concat(model)
    _add_ranges(model, samples.calibration)
    encoding = network_input.encoding(model)
    del model.metadata_props[:]  # drop the export's note that it must run in float
    network_input.declare(model, encoding)
    learned_model = onnx.ModelProto()
    learned_model.CopyFrom(model)
    _restore(model)
    qat_ranges.check(learned_model, model)
    if options.take_bytes:
        network_input.take_bytes(model)
    canonicalize.save(model, target)


def _restore(model: onnx.ModelProto) -> None:
    """Store everything that was learned as integers, in place."""
    _keep_clips(model)
    qdq.store_integers(model, _learned_or_nearest)
    qdq.store_for_float(model, ("ConvTranspose",), qat_ranges.recover_grid)
    add_rounding.settle(model)


def _learned_or_nearest(weights: np.ndarray, axis: int) -> Grid:
    """The integer grid that `weights` lie on; the nearest grid if training left the layer's weights in float.

    TFMOT leaves them in float after padding, although it quantizes the layer's input and output.
    """
    return qat_ranges.recover_grid(weights, axis) or qdq.nearest(weights, axis)


def _round_before_concat(model: onnx.ModelProto) -> None:
    """Quantize the inputs of each Concat like its output, in place. The values are the same, but integer kernels
    can compute the inputs.
    """
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
    """Quantize the inputs and outputs that training left in float, for layers with learned weights, in place."""
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
    """Quantize also before a clip if the zero point after it is not 0, in place.

    With a zero point of 0, quantization itself cuts off negative values, and onnxruntime removes the clip. With a
    larger zero point the clip must stay. Its input is then quantized too, so that the operator before it still runs in
    integers.
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
    """QuantizeLinear and DequantizeLinear of `value`.

    Args:
        value: name of the tensor to quantize.
        parameters: names of scale and zero point.
        name: prefix of the names of the two outputs.
    """
    return [
        helper.make_node("QuantizeLinear", [value, *parameters], [f"{name}/quantized"]),
        helper.make_node("DequantizeLinear", [f"{name}/quantized", *parameters], [f"{name}/dequantized"]),
    ]
