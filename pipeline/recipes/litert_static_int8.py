"""LiteRT in integers throughout: per-channel weights, activation ranges calibrated.

What LiteRT has no integer kernels for, 3-D convolutions for example, computes in float, with weights stored as int8.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline import files, litert_biases, litert_correction, litert_weights
from pipeline.input_encoding import pixels
from pipeline.params import Model
from pipeline.recipes._litert_conversion import Converter, Ends, convert, set_ends
from pipeline.splits import Samples


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

    content = litert_biases.make_room(convert(exported, configure), exported / "model.onnx")
    if options.bias_correction:
        content = litert_correction.correct(content, convert(exported), samples.calibration)
    files.write_bytes(target, litert_weights.store_as_integers(content))
