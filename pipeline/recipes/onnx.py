"""The exported network as it is, in float32: the baseline."""

from pathlib import Path

import onnx

from pipeline import canonical
from pipeline.params import Model
from pipeline.splits import Samples


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    canonical.save(onnx.load(exported / "model.onnx"), target)
