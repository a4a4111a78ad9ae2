"""Correct biases for the shift that quantization causes in each layer's mean output.

Source: M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.2,
empirical form.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from octavo.onnx_graph import qdq
from octavo.onnx_graph.integer_ranges import Range
from octavo.quantization import ptq
from octavo.quantization.calibration import run

CONVOLUTIONS = ("Conv", "ConvTranspose")
MOST = 128
"""Number of images for the means. Both networks see the same images, so the difference needs no more."""


def correct(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    images: np.ndarray,
    left: Collection[str] = (),
    per_channel: bool = True,
    kernels: ptq.Kernels = ptq.ONNXRUNTIME,
) -> onnx.ModelProto:
    """Return the float network with corrected biases.

    Layers are corrected one after the other, so that a shift that an earlier correction removes is not corrected twice.

    Args:
        model: the float network, as `preparation.prepare` returns it.
        ranges: activation -> range, at least for the activations that `ptq.points` names.
        images: (N, H, W[, C]), uint8, or float32 that is already scaled. At most `MOST` are used, evenly spread.
        left: outputs of layers that stay in float.
        per_channel: one scale for each output channel of the weights; if false, one scale for all.
        kernels: of the runtime.
    """
    corrected = onnx.ModelProto()
    corrected.CopyFrom(model)
    makers, biases = qdq.producers(corrected), {tensor.name: tensor for tensor in corrected.graph.initializer}
    layers = [name for name in ptq.layers(model, kernels) if name not in left and qdq.has_bias(makers[name])]
    seen = images[:: -(-len(images) // MOST)]
    wanted = _channel_means(model, layers, seen)
    for layer in layers:
        rounded = ptq.quantize(corrected, ranges, left, per_channel, keep_clips=True, kernels=kernels)
        shift = wanted[layer] - _channel_means(rounded, [layer], seen)[layer]
        bias = biases[makers[layer].input[qdq.BIAS_INPUT]]
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + shift.astype(np.float32), bias.name))
    return corrected


def _channel_means(model: onnx.ModelProto, layers: Sequence[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """Mean of each layer's output, float64 (channels,), over all images and positions."""
    operators = {name: node.op_type for name, node in qdq.producers(model).items() if name in layers}
    totals, counts = {name: np.zeros(1) for name in layers}, dict.fromkeys(layers, 0)
    for values in run(model, layers, images):
        for name, value in values.items():
            output = value.astype(np.float64)
            channels = output.shape[1]
            rows = np.moveaxis(output, 1, -1) if operators[name] in CONVOLUTIONS else output
            totals[name] = totals[name] + rows.reshape(-1, channels).sum(0)
            counts[name] += output.size // channels
    return {name: totals[name] / counts[name] for name in layers}
