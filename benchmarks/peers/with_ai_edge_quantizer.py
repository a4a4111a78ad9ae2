# /// script
# requires-python = "==3.11.*"
# dependencies = ["ai-edge-quantizer==0.10.0", "ai-edge-litert==2.3.0"]
# ///
"""ai-edge-quantizer, static: `uv run --script with_ai_edge_quantizer.py FLOAT.tflite CALIBRATION.npy OUTPUT.tflite`.

Float at both ends of the file, as every other tool leaves them.
"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import qtyping, quantizer, recipe  # type: ignore[import-not-found] # lives in its own environment


def quantize(model: str, calibration: np.ndarray, target: str) -> None:
    (signature, ends), *_ = Interpreter(model).get_signature_list().items()
    feeds = [{ends["inputs"][0]: image[np.newaxis]} for image in calibration]
    tool = quantizer.Quantizer(model, recipe.static_wi8_ai8())
    for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        tool.update_quantization_recipe(".*", end, algorithm_key=recipe.AlgorithmName.NO_QUANTIZE)
    tool.quantize(tool.calibrate({signature: feeds})).export_model(target)


if __name__ == "__main__":
    quantize(sys.argv[1], np.load(sys.argv[2]), sys.argv[3])
