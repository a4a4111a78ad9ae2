"""The exported network as it is, in float32: the baseline."""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize
from octavo.project.params.section import Model


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    canonicalize.save(canonicalize.load(exported / "model.onnx"), target)
