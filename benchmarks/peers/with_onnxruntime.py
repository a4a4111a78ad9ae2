# /// script
# requires-python = "==3.11.*"
# dependencies = ["onnxruntime==1.32.0", "onnx==1.23.2", "ml-dtypes==0.6.0", "sympy==1.14.0"]
# ///
"""onnxruntime's own quantizer: `uv run --script with_onnxruntime.py MODEL.onnx CALIBRATION.npy OUTPUT.onnx FORM`.

FORM is `default` (every option as it comes), or `qdq` or `qoperator` (uint8 activations, per-channel int8 weights).
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

PER_CHANNEL = {"per_channel": True, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
FORMS: dict[str, dict[str, Any]] = {
    "default": {},
    "qdq": {"quant_format": QuantFormat.QDQ, **PER_CHANNEL},
    "qoperator": {"quant_format": QuantFormat.QOperator, **PER_CHANNEL},
}


class Reader(CalibrationDataReader):
    def __init__(self, images: np.ndarray) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = ({"images": image[np.newaxis]} for image in images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def quantize(model: str, calibration: np.ndarray, target: str, form: str) -> None:
    with TemporaryDirectory() as folder:
        prepared = Path(folder, "model.onnx")
        quant_pre_process(model, prepared)
        quantize_static(prepared, target, Reader(calibration), **FORMS[form])


if __name__ == "__main__":
    quantize(sys.argv[1], np.load(sys.argv[2]), *sys.argv[3:])
