"""ONNX in full integer form, with exactly the ranges and weights that quantization-aware training learned."""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize
from octavo.project.params.section import Model
from octavo.quantization import ptq
from octavo.quantization.learned.restoring import integer_graph

LEARNED = True


class Options(Model):
    take_bytes: bool = False
    """The model takes uint8 images 0..255 as they are stored, and does itself what the input encoding says."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write an ONNX file in full integer form with the learned ranges and weights.

    Args:
        exported: folder with `model.onnx` of a quantization-aware network.
        target: the file to write.
        samples: calibration images, for layers without a learned range.
        options: type of the model's input.

    Raises:
        ModelError: the network has no learned ranges, the result does not keep all of them, or float images do not fit
            the option `take_bytes`.
    """
    canonicalize.save(integer_graph(exported, samples, ptq.ONNXRUNTIME, options.take_bytes), target)
