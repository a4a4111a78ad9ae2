"""ONNX with int8 weights and no calibration. Dense layers run in integers; their input range is computed at each call.

Convolutions store int8 weights but compute in float: onnxruntime's dynamic integer convolution takes 1.3 to 13 times as
long as FP32.

A dense layer has one range for all images of a call. So an answer can change with the images beside it; with one image
in a call it cannot.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize, qdq
from octavo.onnx_graph.qdq import Grid
from octavo.onnx_graph.rewrites import network_input, preparation
from octavo.project.params.section import Model

DENSE = ("Gemm", "MatMul")


class Options(Model):
    take_bytes: bool = False
    """The model takes uint8 images 0..255 as they are stored, and does itself what the input encoding says."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write an ONNX file with int8 weights and dynamic ranges.

    Args:
        exported: folder with `model.onnx`.
        target: the file to write.
        samples: only for a check of the option `take_bytes`.
        options: type of the model's input.

    Raises:
        ModelError: float images do not fit the option `take_bytes`.
    """
    model = canonicalize.load(exported / "model.onnx")
    preparation.prepare(model)
    known = qdq.constants(model)
    for node in [node for node in model.graph.node if node.op_type in DENSE and qdq.is_layer(node, known)]:
        weights = numpy_helper.to_array(known[node.input[qdq.WEIGHT_INPUT]])
        place = list(model.graph.node).index(node)
        model.graph.node.remove(node)
        for offset, each in enumerate(_in_integers(model, node, qdq.nearest(weights, -1))):
            model.graph.node.insert(place + offset, each)
    qdq.store_for_float(model, ("Conv", "ConvTranspose"), qdq.nearest)
    if options.take_bytes:
        network_input.require(samples.calibration)
        network_input.take_bytes(model)
    canonicalize.save(model, target)


def _in_integers(model: onnx.ModelProto, node: onnx.NodeProto, grid: Grid) -> Iterator[onnx.NodeProto]:
    """The operators that replace the dense layer `node`. onnxruntime fuses them into one kernel."""
    source, target, layer = node.input[0], node.output[0], node.doc_string
    integers, scale, zero, product, real, both, scaled = (
        f"{target}/{part}" for part in ("integers", "scale", "zero", "product", "real", "scales", "scaled")
    )
    weight, weight_scale, weight_zero = (
        qdq.add_constant(model, f"{target}/weight_{part}", array)
        for part, array in (
            ("integers", grid.integers),
            ("scale", grid.scale),
            ("zero", np.zeros(grid.scale.shape, np.int8)),
        )
    )
    yield helper.make_node("DynamicQuantizeLinear", [source], [integers, scale, zero])
    yield helper.make_node("MatMulInteger", [integers, weight, zero, weight_zero], [product], doc_string=layer)
    yield helper.make_node("Cast", [product], [real], to=TensorProto.FLOAT)
    yield helper.make_node("Mul", [scale, weight_scale], [both])
    yield helper.make_node("Mul", [real, both], [scaled if qdq.has_bias(node) else target], doc_string=layer)
    if qdq.has_bias(node):
        yield helper.make_node("Add", [scaled, node.input[qdq.BIAS_INPUT]], [target], doc_string=layer)
