"""The exported network as it is, in float32: the baseline."""

from pathlib import Path

import numpy as np
import onnx

from pipeline import canonical
from pipeline.params import Model


class Options(Model):
    pass


def quantize(exported: Path, target: Path, calibration: np.ndarray, options: Options) -> None:
    canonical.save(onnx.load(exported / "model.onnx"), target)
