"""TensorFlow's LiteRT converter as a process: `python -m octavo.quantization.converter.process`.

Each line of stdin is a request in JSON. The answer is one line of JSON on stdout: `{"file": …}` with the path of the
LiteRT file that was written, or `{"error": …}`. Output of the converter's C++ code goes to stderr, which is discarded.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

FAILURES = (ConverterError, ValueError, RuntimeError, TypeError, AssertionError, tf.errors.OpError)


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), file=answers, flush=True)


def _answer(request: dict[str, Any]) -> dict[str, str]:
    try:
        content = _converter(request).convert()
    except FAILURES as error:
        return {"error": str(error)}
    Path(request["file"]).write_bytes(content)
    return {"file": request["file"]}


def _converter(request: dict[str, Any]) -> tf.lite.TFLiteConverter:
    converter = tf.lite.TFLiteConverter.from_saved_model(request["saved_model"])
    if request["weights"] != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if request["weights"] == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if request["calibration"]:
        images = np.load(request["calibration"], allow_pickle=False)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.representative_dataset = lambda: ([image[np.newaxis]] for image in images)
    if request["ends"] == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter


if __name__ == "__main__":
    main()
