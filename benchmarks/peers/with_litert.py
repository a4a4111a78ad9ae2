# /// script
# requires-python = "==3.11.*"
# dependencies = ["tensorflow==2.21.0"]
# ///
"""LiteRT's converter, INT8 throughout: `uv run --script with_litert.py SAVED_MODEL CALIBRATION.npy OUTPUT.tflite`."""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf


def quantize(saved_model: str, calibration: np.ndarray, target: str) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in calibration)
    Path(target).write_bytes(converter.convert())


if __name__ == "__main__":
    quantize(sys.argv[1], np.load(sys.argv[2]), sys.argv[3])
