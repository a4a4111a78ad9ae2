"""LiteRT in full integer form, with the ranges that quantization-aware training learned."""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.quantization.learned.restoring import integer_graph
from octavo.quantization.litert.kernels import kernels_for
from octavo.quantization.litert.saving import save
from octavo.quantization.recipes.litert._options import EndOptions

LEARNED = True


class Options(EndOptions):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write a LiteRT file in full integer form with the learned ranges.

    Args:
        exported: folder with `model.onnx` of a quantization-aware network.
        target: the file to write.
        samples: calibration images, for values without a learned range.
        options: type of input and output.

    Raises:
        ModelError: the network has no learned ranges; an operator has no form in LiteRT; or float images do not fit the
            option `take_bytes`.
    """
    model = integer_graph(exported, samples, kernels_for(options.io), options.take_bytes)
    save(model, target, samples, options.io)
