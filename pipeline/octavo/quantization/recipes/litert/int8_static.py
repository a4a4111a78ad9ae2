"""LiteRT in integers throughout: per-channel weights, activation ranges calibrated.

What LiteRT has no integer kernels for, 3-D convolutions for example, computes in float, with weights stored as int8.
"""

from pathlib import Path

from octavo.data.input_encoding import encode
from octavo.data.splits import Samples
from octavo.project.files import atomic_write
from octavo.project.params.section import Model
from octavo.quantization.litert import bias_correction as litert_bias_correction
from octavo.quantization.litert import biases, weights
from octavo.quantization.recipes.litert._conversion import Ends, convert


class Options(Model):
    io: Ends = "float32"
    """What the file takes and gives."""
    bias_correction: bool = True
    """Let biases make up for what rounding shifts each layer's mean output by; channels that hardly vary need it."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    content = convert(exported, "int8", encode(samples.calibration), options.io)
    content = biases.make_room(content, exported / "model.onnx")
    if options.bias_correction:
        content = litert_bias_correction.correct(content, convert(exported), samples.calibration)
    atomic_write.write_bytes(target, weights.store_as_integers(content))
