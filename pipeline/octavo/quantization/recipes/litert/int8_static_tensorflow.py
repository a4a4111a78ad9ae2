"""LiteRT by TensorFlow's converter in full integer form: per-channel int8 weights, and calibrated int8 activations.

Operators without an integer kernel in LiteRT, for example 3-D convolutions, compute in float with int8 weights.
"""

from pathlib import Path

from octavo.data.input_encoding import encode
from octavo.data.splits import Samples
from octavo.onnx_graph.rewrites import network_input
from octavo.project.files import atomic_write
from octavo.quantization.converter import bias_correction as litert_bias_correction
from octavo.quantization.converter import biases, bytes_input, weights
from octavo.quantization.converter.conversion import convert
from octavo.quantization.recipes.litert._options import EndOptions


class Options(EndOptions):
    bias_correction: bool = True
    """Correct the biases for the shift that rounding causes in each layer's mean output. Channels with little variation
    need it."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write a LiteRT file in full integer form.

    Args:
        exported: folder with `saved_model/` and `model.onnx`.
        target: the file to write.
        samples: calibration images for ranges and biases.
        options: type of input and output, and bias correction.

    Raises:
        ModelError: as `convert`, or float images do not fit the option `take_bytes`.
    """
    encoding = network_input.encoding_of(exported / "model.onnx")
    content = convert(exported, "int8", encode(samples.calibration, encoding), options.io)
    content = biases.make_room(content, exported / "model.onnx")
    if options.bias_correction:
        content = litert_bias_correction.correct(content, convert(exported), samples.calibration)
    content = weights.store_as_integers(content)
    if options.take_bytes:
        network_input.require(samples.calibration)
        content = bytes_input.take_bytes(content)
    atomic_write.write_bytes(target, content)
