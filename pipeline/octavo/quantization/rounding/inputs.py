"""Make the kernels of several runtimes round the bytes of an image alike.

onnxruntime divides by the scale, XNNPACK multiplies by its reciprocal, and LiteRT's reference kernels and TFLite Micro
round halves away from zero. Where a byte lies in the middle between two steps they disagree: with a scale of 2/255
every second byte does. A change of the scale by a few units in the last place makes them agree.

Sources: `src/f32-qs8-vcvt` of XNNPACK; `kernels/internal/reference/quantize.h` of LiteRT.
"""

import numpy as np
import onnx

from octavo.data.input_encoding import every_byte
from octavo.onnx_graph import qdq
from octavo.onnx_graph.rewrites import network_input

UNITS = (0, *(sign * step for step in range(1, 9) for sign in (1, -1)))
"""Distances from the scale to try, in units in the last place. Of equally good ones the smallest is taken."""


def settle(model: onnx.ModelProto) -> None:
    """Choose the scale that the input of the graph is rounded with, in place. Only bytes of images count."""
    (source,) = model.graph.input
    encoding, constants = network_input.encoding(model), qdq.initializers(model)
    readers = qdq.consumers(model)
    rounding = [node for node in readers.get(source.name, []) if node.op_type == "QuantizeLinear"]
    if encoding.dtype != "float32" or len(rounding) != 1 or len(rounding[0].input) != 3:
        return
    scale, zero = (constants[name] for name in rounding[0].input[1:])
    if scale.size != 1 or zero.dtype != np.uint8:
        return
    _, real = every_byte(encoding)
    near = [(scale.view(np.int32) + units).view(np.float32) for units in UNITS]
    best = min(near, key=lambda other: _differences(real.astype(np.float32), other, int(zero)))
    if best != scale:
        name = qdq.add_constant(model, f"{source.name}/settled", best)
        for node in (*rounding, *readers[rounding[0].output[0]]):
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                node.input[1] = name


def _differences(real: np.ndarray, scale: np.ndarray, zero: int) -> int:
    """How many of the values two runtimes round to different steps."""
    steps = real / scale
    ours = np.rint(steps)
    inverse = np.rint(real * (np.float32(1) / scale))
    away = np.copysign(np.floor(np.abs(steps) + np.float32(0.5)), steps)
    found = [np.clip(each + zero, 0, 255) for each in (ours, inverse, away)]
    return int(np.count_nonzero(found[0] != found[1]) + np.count_nonzero(found[0] != found[2]))
