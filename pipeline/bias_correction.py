"""Biases that make up for what quantization shifts each layer's mean output by.

Source: M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.2,
empirical form.
"""

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from pipeline import qdq, quantizer
from pipeline.calibration import Range, run


def correct(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    images: np.ndarray,
    left: Collection[str] = (),
    per_channel: bool = True,
) -> onnx.ModelProto:
    """The float network with corrected biases.

    Layer by layer, so that what one correction mends further down is not mended again.
    """
    corrected = onnx.ModelProto()
    corrected.CopyFrom(model)
    for layer in quantizer.layers(model):
        node = qdq.producers(corrected)[layer]
        if layer in left or len(node.input) <= qdq.BIAS_INPUT:
            continue
        wanted = _channel_means(model, layer, images, node.op_type)
        rounded = quantizer.quantize(corrected, ranges, left, per_channel, keep_clips=True)
        got = _channel_means(rounded, layer, images, node.op_type)
        (bias,) = [tensor for tensor in corrected.graph.initializer if tensor.name == node.input[qdq.BIAS_INPUT]]
        shifted = numpy_helper.to_array(bias) + (wanted - got).astype(np.float32)
        bias.CopyFrom(numpy_helper.from_array(shifted, bias.name))
    return corrected


def _channel_means(model: onnx.ModelProto, layer: str, images: np.ndarray, operator: str) -> np.ndarray:
    """Mean of a layer's output, float64 (channels,), over all images and places."""
    total, count = np.zeros(1), 0
    for values in run(model, [layer], images):
        output = values[layer].astype(np.float64)
        channels = output.shape[1]
        rows = np.moveaxis(output, 1, -1) if operator == "Conv" else output
        total, count = total + rows.reshape(-1, channels).sum(0), count + output.size // channels
    return total / count
