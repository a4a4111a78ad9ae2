"""The exported network as it is, in float32, for LiteRT."""

from pathlib import Path

import tensorflow as tf

from pipeline import files
from pipeline.params import Model
from pipeline.splits import Samples


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(exported / "saved_model"))
    files.write_bytes(target, converter.convert())
