"""LiteRT in float32: the exported network without quantization."""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.onnx_graph.rewrites import network_input
from octavo.quantization.litert.saving import prepared, save
from octavo.quantization.recipes.litert._options import InputOptions

LEAST_SQNR_DB = 30.0
"""A file in float that differs more from its network is not a copy of it."""


class Options(InputOptions):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write the LiteRT file of the network without quantization.

    Args:
        exported: folder with `model.onnx`.
        target: the file to write.
        samples: give the shape of an example.
        options: type of the model's input.

    Raises:
        ModelError: an operator has no form in LiteRT, or float images do not fit the option `take_bytes`.
    """
    model = prepared(exported, samples, options.take_bytes)
    if options.take_bytes:
        network_input.take_bytes(model)
    save(model, target, samples)
