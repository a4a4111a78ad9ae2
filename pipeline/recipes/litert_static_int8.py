"""LiteRT in integers throughout: per-channel weights, activation ranges calibrated; float at both ends of the file."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline import files
from pipeline.params import Model
from pipeline.splits import Samples, pixels


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(exported / "saved_model"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: ([pixels(image[np.newaxis])] for image in samples.calibration)
    files.write_bytes(target, converter.convert())
