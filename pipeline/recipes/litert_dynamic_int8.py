"""LiteRT with int8 weights and no calibration: activations quantized at every call.

Weights that LiteRT's converter leaves in float, those of fewer than 1,024 elements for example, are stored as
per-channel int8, too, behind a Dequantize that the interpreter runs once when it loads the file: so small a layer is
faster in float.
"""

from pathlib import Path

import tensorflow as tf

from pipeline import files, litert_weights
from pipeline.params import Model
from pipeline.recipes._litert_conversion import Converter, convert
from pipeline.splits import Samples


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    def configure(converter: Converter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]

    files.write_bytes(target, litert_weights.store_as_integers(convert(exported, configure)))
