"""ONNX with int8 weights and float compute: a quarter of the file size at FP32's speed, without calibration.

Useful for networks so small that integer kernels are slower than float kernels. Runtimes convert the weights to float
once, when they load the file.
"""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize, qdq
from octavo.onnx_graph.rewrites import network_input, preparation
from octavo.project.params.section import Model


class Options(Model):
    per_channel: bool = True
    take_bytes: bool = False
    """The model takes uint8 images 0..255 as they are stored, and does itself what the input encoding says."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write an ONNX file with int8 weights and float compute.

    Args:
        exported: folder with `model.onnx`.
        target: the file to write.
        samples: only for a check of the option `take_bytes`.
        options: granularity of the weights' scales, and type of the model's input.

    Raises:
        ModelError: float images do not fit the option `take_bytes`.
    """
    model = canonicalize.load(exported / "model.onnx")
    preparation.prepare(model)
    qdq.store_for_float(
        model, qdq.OUTPUT_AXIS, lambda weights, axis: qdq.nearest(weights, axis if options.per_channel else None)
    )
    if options.take_bytes:
        network_input.require(samples.calibration)
        network_input.take_bytes(model)
    canonicalize.save(model, target)
