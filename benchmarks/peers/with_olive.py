# /// script
# requires-python = "==3.11.*"
# dependencies = ["olive-ai==0.13.0", "onnxruntime==1.32.0", "requests==2.32.5", "torch==2.13.0+cpu"]
# ///
"""Olive's static pass by its defaults: `uv run --script with_olive.py MODEL.onnx CALIBRATION.npy OUTPUT.onnx`.

Olive needs torch, and the one without several GB for GPUs: UV_INDEX or UV_FIND_LINKS must lead to its CPU build.
"""

import os
import shutil
import sys
from tempfile import TemporaryDirectory

os.environ["OLIVE_DISABLE_TELEMETRY"] = "1"  # read when olive is imported

import numpy as np
from olive.data.registry import Registry  # type: ignore[import-not-found] # lives in its own environment
from olive.workflows import run  # type: ignore[import-not-found] # lives in its own environment


def quantize(model: str, calibration: np.ndarray, target: str) -> None:
    Registry.register_dataset("calibration")(lambda: [({"images": image}, 0) for image in calibration])
    with TemporaryDirectory() as folder:
        settings = {
            "input_model": {"type": "ONNXModel", "model_path": model},
            "data_configs": [{"name": "calibration", "load_dataset_config": {"type": "calibration"}}],
            "passes": {"static": {"type": "OnnxStaticQuantization", "data_config": "calibration"}},
            "output_dir": f"{folder}/output",
            "cache_dir": f"{folder}/cache",
        }
        shutil.copy(run(settings).get_best_candidate().model_path, target)


if __name__ == "__main__":
    quantize(sys.argv[1], np.load(sys.argv[2]), sys.argv[3])
