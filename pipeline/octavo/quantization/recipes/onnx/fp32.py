"""ONNX in float32: the exported network, unchanged. This is the baseline."""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize
from octavo.project.params.section import Model


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write the ONNX file of the network without quantization.

    Args:
        exported: folder with `model.onnx`.
        target: the file to write.
        samples: not used.
        options: none.
    """
    canonicalize.save(canonicalize.load(exported / "model.onnx"), target)
