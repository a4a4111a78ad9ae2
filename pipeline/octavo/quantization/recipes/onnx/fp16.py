"""ONNX with weights stored in FP16 and cast to FP32 when the model is loaded: half the file size at FP32's speed.

Computing in FP16 takes 1.0 to 1.7 times as long as FP32 on CPUs, because they convert before and after every kernel.
FP16 represents magnitudes from 6e-5 to 65,504 with 11 bits. A constant outside that range stays in FP32. For example,
an epsilon of 1e-12 would become 0, and the division that it protects would be by 0.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize, qdq
from octavo.onnx_graph.rewrites import network_input
from octavo.project.params.section import Model

RANGE = np.finfo(np.float16)


class Options(Model):
    take_bytes: bool = False
    """The model takes uint8 images 0..255 as they are stored, and does itself what the input encoding says."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write an ONNX file with FP16 weights.

    Args:
        exported: folder with `model.onnx`.
        target: the file to write.
        samples: only for a check of the option `take_bytes`.
        options: type of the model's input.

    Raises:
        ModelError: float images do not fit the option `take_bytes`.
    """
    model = canonicalize.load(exported / "model.onnx")
    store_weights(model)
    if options.take_bytes:
        network_input.require(samples.calibration)
        network_input.take_bytes(model)
    canonicalize.save(model, target)


def store_weights(model: onnx.ModelProto) -> None:
    """Store the constants that FP16 can represent in it, behind a Cast, in place."""
    kernels = {
        node.input[qdq.WEIGHT_INPUT]: qdq.OUTPUT_AXIS[node.op_type]
        for node in model.graph.node
        if node.op_type in qdq.OUTPUT_AXIS
    }
    sizes = {name for node in model.graph.node if node.op_type == "Resize" for name in node.input[1:]}
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            changes_size = tensor.name in sizes and not np.array_equal(values.astype(np.float16), values)
            if _fits(values, kernels.get(tensor.name)) and not changes_size:
                _store_as_fp16(model.graph, tensor, values)


def _fits(values: np.ndarray, axis: int | None) -> bool:
    """Whether no value that matters becomes 0, subnormal or infinite in FP16.

    In a layer's weights, with the output channels along `axis`, only the largest magnitude of each channel matters: the
    smaller ones are added to it. In other constants (`axis` is None) every value matters.
    """
    sizes = np.abs(values)
    if axis is not None and values.ndim > 1:
        sizes = sizes.max(tuple(place for place in range(values.ndim) if place != axis % values.ndim))
    return bool(((sizes == 0) | ((sizes >= RANGE.smallest_normal) & (sizes <= RANGE.max))).all())


def _store_as_fp16(graph: onnx.GraphProto, tensor: onnx.TensorProto, values: np.ndarray) -> None:
    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}/fp16"))
    graph.node.insert(0, helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
