"""ONNX in float32: the exported network, unchanged. This is the baseline."""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.rewrites import network_input
from octavo.project.params.section import Model


class Options(Model):
    take_bytes: bool = False
    """The model takes uint8 images 0..255 as they are stored, and does itself what the input encoding says."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write the ONNX file of the network without quantization.

    Args:
        exported: folder with `model.onnx`.
        target: the file to write.
        samples: only for a check of the option `take_bytes`.
        options: type of the model's input.

    Raises:
        ModelError: float images do not fit the option `take_bytes`.
    """
    model = canonicalize.load(exported / "model.onnx")
    if options.take_bytes:
        network_input.require(samples.calibration)
        network_input.take_bytes(model)
    canonicalize.save(model, target)
