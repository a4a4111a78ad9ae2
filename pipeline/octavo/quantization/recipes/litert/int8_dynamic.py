"""LiteRT with int8 weights and no calibration. Activations are quantized at each call, for each example by itself.

Small layers and depthwise convolutions compute in float, with int8 weights that the interpreter makes floats of once.
In float these are faster, and depthwise convolutions are more accurate: they process each channel alone, and the one
input step for all channels is too large for channels with little variation.
"""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.onnx_graph import qdq
from octavo.onnx_graph.rewrites import network_input
from octavo.quantization.litert.saving import prepared, save
from octavo.quantization.recipes.litert._options import InputOptions


class Options(InputOptions):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write a LiteRT file with int8 weights and dynamic ranges.

    Args:
        exported: folder with `model.onnx`.
        target: the file to write.
        samples: give the shape of an example.
        options: type of the model's input.

    Raises:
        ModelError: an operator has no form in LiteRT, or float images do not fit the option `take_bytes`.
    """
    model = prepared(exported, samples, options.take_bytes)
    qdq.store_for_float(model, qdq.OUTPUT_AXIS, qdq.nearest)
    if options.take_bytes:
        network_input.take_bytes(model)
    save(model, target, samples, rounds_inputs=True)
