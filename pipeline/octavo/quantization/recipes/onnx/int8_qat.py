"""ONNX in full integer form, with exactly the ranges and weights that quantization-aware training learned.

Training quantizes either before or after an activation such as tanh or swish, but not on both sides. If a layer with
learned weights has no learned range, its integer kernel gets a range from the calibration images.

A brought network that stores what it learned in integers has its integer form beside it, made when it was read.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize, integer_ranges, qdq
from octavo.onnx_graph.foreign.quantized import settling
from octavo.onnx_graph.qdq import Grid
from octavo.onnx_graph.rewrites import earlier_rounding, network_input, preparation
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
    given = exported / settling.FOLDER / "model.onnx"
    model = canonicalize.load(given) if given.is_file() else _from_fake_quantization(exported, samples)
    if options.take_bytes:
        network_input.take_bytes(model)
    canonicalize.save(model, target)


def _from_fake_quantization(exported: Path, samples: Samples) -> onnx.ModelProto:
    """The INT8 graph of a network whose weights are float, and lie on the grid that was learned.

    Args:
        exported: folder with `model.onnx`.
        samples: calibration images.

    Raises:
        ModelError: the network has no learned ranges, or the result does not keep all of them.
    """
    model = canonicalize.load(exported / "model.onnx")
    if all(node.op_type != "QuantizeLinear" for node in model.graph.node):
        raise ModelError(f"{exported} has no learned ranges: 'onnx_int8_qat' needs a quantization-aware network.")
    preparation.prepare(model)
    earlier_rounding.before_concats(model)
    _add_ranges(model, samples.calibration)
    encoding = network_input.encoding(model)
    del model.metadata_props[:]  # drop the export's note that it must run in float
    network_input.declare(model, encoding)
    learned_model = onnx.ModelProto()
    learned_model.CopyFrom(model)
    _restore(model)
    qat_ranges.check(learned_model, model)
    return model


def _restore(model: onnx.ModelProto) -> None:
    """Store everything that was learned as integers, in place."""
    earlier_rounding.before_clips(model)
    qdq.store_integers(model, _learned_or_nearest)
    qdq.store_for_float(model, ("ConvTranspose",), qat_ranges.recover_grid)
    add_rounding.settle(model)


def _learned_or_nearest(weights: np.ndarray, axis: int) -> Grid:
    """The integer grid that `weights` lie on; the nearest grid if training left the layer's weights in float.

    TFMOT leaves them in float after padding, although it quantizes the layer's input and output.
    """
    return qat_ranges.recover_grid(weights, axis) or qdq.nearest(weights, axis)


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
