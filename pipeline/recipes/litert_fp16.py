"""LiteRT with weights stored in FP16 and computed in float32."""

from pathlib import Path

import tensorflow as tf

from pipeline import files
from pipeline.params import Model
from pipeline.recipes._litert_conversion import Converter, convert
from pipeline.splits import Samples


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    def configure(converter: Converter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    files.write_bytes(target, convert(exported, configure))
