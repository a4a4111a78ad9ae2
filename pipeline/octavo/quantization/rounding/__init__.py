"""Move scales by units in the last place, so that the kernels of several runtimes round alike."""

import onnx

from octavo.quantization.rounding import inputs, sums


def settle(model: onnx.ModelProto) -> None:
    """Settle the scales of a quantized graph, in place."""
    inputs.settle(model)
    sums.settle(model)
