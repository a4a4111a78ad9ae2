"""LiteRT with weights stored in FP16 and computed in float32."""

from pathlib import Path

import tensorflow as tf

from octavo.data.splits import Samples
from octavo.project.files import atomic_write
from octavo.project.params.section import Model
from octavo.quantization.recipes.litert._conversion import Converter, convert


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    def configure(converter: Converter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    atomic_write.write_bytes(target, convert(exported, configure))
