"""The exported network as it is, in float32: the baseline."""

from pathlib import Path

from pipeline import canonical
from pipeline.params import Model
from pipeline.splits import Samples


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    canonical.save(canonical.load(exported / "model.onnx"), target)
