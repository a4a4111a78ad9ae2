"""LiteRT in integers throughout, with the ranges that quantization-aware training learned."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline import files
from pipeline.params import Model


class Options(Model):
    pass


def quantize(exported: Path, target: Path, calibration: np.ndarray, options: Options) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(exported / "saved_model"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    files.write_bytes(target, converter.convert())
