"""LiteRT with int8 weights and float compute: a quarter of the file size at FP32's speed, without calibration.

The interpreter makes floats of the weights once, when it loads the file.
"""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.onnx_graph import qdq
from octavo.onnx_graph.rewrites import network_input
from octavo.quantization.litert.saving import prepared, save
from octavo.quantization.recipes.litert._options import InputOptions


class Options(InputOptions):
    per_channel: bool = True


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write a LiteRT file with int8 weights and float compute.

    Args:
        exported: folder with `model.onnx`.
        target: the file to write.
        samples: give the shape of an example.
        options: granularity of the weights' scales, and type of the model's input.

    Raises:
        ModelError: an operator has no form in LiteRT, or float images do not fit the option `take_bytes`.
    """
    model = prepared(exported, samples, options.take_bytes)
    qdq.store_for_float(
        model, qdq.OUTPUT_AXIS, lambda weights, axis: qdq.nearest(weights, axis if options.per_channel else None)
    )
    if options.take_bytes:
        network_input.take_bytes(model)
    save(model, target, samples)
