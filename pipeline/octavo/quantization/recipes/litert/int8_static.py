"""LiteRT in integers throughout: per-channel weights, activation ranges calibrated.

What LiteRT has no integer kernels for, 3-D convolutions for example, computes in float, with weights stored as int8.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from octavo.data.input_encoding import pixels
from octavo.data.splits import Samples
from octavo.project.files import atomic_write
from octavo.project.params.section import Model
from octavo.quantization.litert import bias_correction as litert_bias_correction
from octavo.quantization.litert import biases, weights
from octavo.quantization.recipes.litert._conversion import Converter, Ends, convert, set_ends


class Options(Model):
    io: Ends = "float32"
    """What the file takes and gives."""
    bias_correction: bool = True
    """Let biases make up for what rounding shifts each layer's mean output by; channels that hardly vary need it."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    def configure(converter: Converter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
        converter.representative_dataset = lambda: ([pixels(image[np.newaxis])] for image in samples.calibration)
        set_ends(converter, options.io)

    content = biases.make_room(convert(exported, configure), exported / "model.onnx")
    if options.bias_correction:
        content = litert_bias_correction.correct(content, convert(exported), samples.calibration)
    atomic_write.write_bytes(target, weights.store_as_integers(content))
