# /// script
# requires-python = "==3.11.*"
# dependencies = ["neural-compressor==2.6", "onnx==1.16.2", "onnxruntime==1.18.1", "setuptools<80", "six==1.17.0"]
# ///
"""neural-compressor, the last line that quantizes ONNX files, by its defaults.

`uv run --script with_neural_compressor.py MODEL.onnx CALIBRATION.npy OUTPUT.onnx`
"""

import sys

import numpy as np
from neural_compressor import PostTrainingQuantConfig, quantization  # type: ignore[import-not-found] # its own environment
from neural_compressor.data import DataLoader  # type: ignore[import-not-found] # its own environment


def quantize(model: str, calibration: np.ndarray, target: str) -> None:
    samples = DataLoader("onnxruntime", [(image, 0) for image in calibration])
    settings = PostTrainingQuantConfig(calibration_sampling_size=len(calibration))
    quantization.fit(model, settings, calib_dataloader=samples).save(target)


if __name__ == "__main__":
    quantize(sys.argv[1], np.load(sys.argv[2]), sys.argv[3])
