"""What LiteRT computes in integers. More than onnxruntime, and a microcontroller computes nothing else well."""

from dataclasses import replace

import onnx

from octavo.onnx_graph import canonicalize
from octavo.quantization.litert import fusions
from octavo.quantization.ptq import ONNXRUNTIME, Kernels

HALF_OPEN = (0.0, 255 / 256)
"""Range of probabilities in steps of 1/256."""


def _whole(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with HardSwish as one operator."""
    fused = onnx.ModelProto()
    fused.CopyFrom(model)
    fusions.fuse(fused)
    canonicalize.drop_unread(fused.graph)
    return fused


LITERT = Kernels(
    layers=(*ONNXRUNTIME.layers, "ConvTranspose"),
    without_weights=(
        *ONNXRUNTIME.without_weights,
        "HardSigmoid",
        "HardSwish",
        "PRelu",
        "ReduceMean",
        "Sub",
        "Tanh",
    ),
    float_output=(),
    fixed={"HardSigmoid": (0.0, 1.0), "Sigmoid": HALF_OPEN, "Tanh": (-1.0, 127 / 128)},
    rounds_constants=True,
    seen=_whole,
)
_INTEGER_ENDS = replace(
    LITERT,
    without_weights=(*LITERT.without_weights, "Softmax"),
    fixed={**LITERT.fixed, "Softmax": HALF_OPEN},
)
"""For a file whose output is int8. Otherwise a Softmax computes in float, which is more exact."""


def kernels_for(ends: str) -> Kernels:
    """The kernels for a file whose input and output are `float32` or `int8`."""
    return _INTEGER_ENDS if ends == "int8" else LITERT
