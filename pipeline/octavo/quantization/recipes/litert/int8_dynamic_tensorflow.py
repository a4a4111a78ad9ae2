"""LiteRT by TensorFlow's converter, with int8 weights and no calibration. Activations are quantized at each call.

LiteRT's converter leaves some weights in float, for example those with fewer than 1,024 elements. These are stored as
per-channel int8 with a Dequantize, which the interpreter runs once when it loads the file. The layer computes in float,
which is faster for such a small layer.

Depthwise convolutions get the same treatment. In float they are faster and more accurate: they process each channel
alone, and the one input step for all channels is too large for channels with little variation.
"""

from pathlib import Path

from ai_edge_litert.schema_py_generated import BuiltinOperator as Code

from octavo.data.splits import Samples
from octavo.onnx_graph.rewrites import network_input
from octavo.project.files import atomic_write
from octavo.quantization.converter import bytes_input, weights
from octavo.quantization.converter.conversion import convert
from octavo.quantization.recipes.litert._options import InputOptions


class Options(InputOptions):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write a LiteRT file with int8 weights and dynamic ranges.

    Args:
        exported: folder with `saved_model/`.
        target: the file to write.
        samples: only for a check of the option `take_bytes`.
        options: type of the model's input.

    Raises:
        ModelError: as `convert`, or float images do not fit the option `take_bytes`.
    """
    content = weights.store_as_integers(convert(exported, "int8"))
    content = weights.compute_in_float(content, [Code.DEPTHWISE_CONV_2D])
    if options.take_bytes:
        network_input.require(samples.calibration)
        content = bytes_input.take_bytes(content)
    atomic_write.write_bytes(target, content)
