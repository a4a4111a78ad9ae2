"""The INT8 graph of a quantization-aware network, with exactly the ranges and weights that training learned.

Training quantizes either before or after an activation such as tanh or swish, but not on both sides. If a layer with
learned weights has no learned range, its integer kernel gets a range from the calibration images.

A brought network that stores what it learned in integers has its integer form beside it, made when it was read.
"""

from collections.abc import Iterator
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
from octavo.quantization import calibration, ptq, rounding
from octavo.quantization.learned import ranges
from octavo.quantization.ptq import Kernels


def integer_graph(exported: Path, samples: Samples, kernels: Kernels, take_bytes: bool) -> onnx.ModelProto:
    """The network in full integer form.

    Args:
        exported: folder with `model.onnx` of a quantization-aware network.
        samples: calibration images, for layers without a learned range.
        kernels: of the runtime that the file is for.
        take_bytes: whether the input is uint8, as images are stored.

    Raises:
        ModelError: the network has no learned ranges, the result does not keep all of them, or float images cannot be
            given as bytes.
    """
    if take_bytes:
        network_input.require(samples.calibration)
    given = exported / settling.FOLDER / "model.onnx"
    model = canonicalize.load(given) if given.is_file() else _from_fake_quantization(exported, samples, kernels)
    if take_bytes:
        network_input.take_bytes(model)
    return model


def _from_fake_quantization(exported: Path, samples: Samples, kernels: Kernels) -> onnx.ModelProto:
    """The INT8 graph of a network whose weights are float, and lie on the grid that was learned."""
    model = canonicalize.load(exported / "model.onnx")
    if all(node.op_type != "QuantizeLinear" for node in model.graph.node):
        raise ModelError(f"{exported} has no learned ranges: this recipe needs a quantization-aware network.")
    preparation.prepare(model)
    earlier_rounding.before_concats(model)
    _add_ranges(model, samples.calibration, kernels)
    encoding = network_input.encoding(model)
    del model.metadata_props[:]  # drop the export's note that it must run in float
    network_input.declare(model, encoding)
    learned_model = onnx.ModelProto()
    learned_model.CopyFrom(model)
    _restore(model, kernels)
    ranges.check(learned_model, model)
    return model


def _restore(model: onnx.ModelProto, kernels: Kernels) -> None:
    """Store everything that was learned as integers, in place."""
    earlier_rounding.before_clips(model)
    qdq.store_integers(model, _learned_or_nearest, operators=kernels.layers)
    qdq.store_for_float(model, ("ConvTranspose",), ranges.recover_grid)
    rounding.settle(model)


def _learned_or_nearest(weights: np.ndarray, axis: int) -> Grid:
    """The integer grid that `weights` lie on; the nearest grid if training left the layer's weights in float.

    TFMOT leaves them in float after padding, although it quantizes the layer's input and output.
    """
    return ranges.recover_grid(weights, axis) or qdq.nearest(weights, axis)


def _add_ranges(model: onnx.ModelProto, images: np.ndarray, kernels: Kernels) -> None:
    """Quantize the inputs and outputs that training left in float, for layers with learned weights, in place."""
    lacking = list(dict.fromkeys(_lacking(model, kernels)))
    fixed = {node.output[0]: kernels.fixed[node.op_type] for node in model.graph.node if node.op_type in kernels.fixed}
    for name, seen in calibration.observe(model, lacking, images).items():
        limits = fixed.get(name, calibration.min_max(seen))
        qdq.insert_pair(model, name, *integer_ranges.uint8_parameters(*limits))


def _lacking(model: onnx.ModelProto, kernels: Kernels) -> Iterator[str]:
    """The values to quantize. Where no kernel returns float, operators between layers get ranges too."""
    known, makers, readers = qdq.constants(model), qdq.producers(model), qdq.consumers(model)
    given: set[str] = set()

    def is_rounded(name: str) -> bool:
        source = makers.get(name)
        return name in given or (source is not None and source.op_type == "DequantizeLinear")

    def is_read_rounded(name: str) -> bool:
        return any(
            reader.op_type == "QuantizeLinear" or (reader.op_type in qdq.MOVERS and is_read_rounded(reader.output[0]))
            for reader in readers.get(name, [])
        )

    for node in model.graph.node:
        result = ptq.behind_clip(node, readers)
        if qdq.is_layer(node, known, kernels.layers):
            source = qdq.origin(node.input[0], makers)
            weights = numpy_helper.to_array(known[node.input[qdq.WEIGHT_INPUT]])
            if ranges.recover_grid(weights, qdq.OUTPUT_AXIS[node.op_type]) is None:
                continue
            if not is_rounded(source) and source not in known:
                given.add(source)
                yield source
            if node.op_type in kernels.float_output or is_read_rounded(result):
                continue
        elif (
            kernels.float_output
            or node.op_type not in kernels.without_weights
            or is_read_rounded(result)
            or not all(is_rounded(qdq.origin(name, makers)) for name in node.input)
        ):
            continue
        given.add(result)
        yield result
