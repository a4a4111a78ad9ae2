"""LiteRT by TensorFlow's converter in full integer form, with the ranges of quantization-aware training."""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.onnx_graph.rewrites import network_input
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write
from octavo.quantization.converter import biases, bytes_input, weights
from octavo.quantization.converter.conversion import convert, saved_model
from octavo.quantization.recipes.litert._options import EndOptions

LEARNED = True


class Options(EndOptions):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write a LiteRT file in full integer form with the learned ranges.

    Args:
        exported: folder with `saved_model/` and `model.onnx` of a quantization-aware network.
        target: the file to write.
        samples: only for a check of the option `take_bytes`.
        options: type of input and output.

    Raises:
        ModelError: the network has no learned ranges; or as `convert`.
    """
    if b"FakeQuantWithMinMaxVars" not in (saved_model(exported) / "saved_model.pb").read_bytes():
        raise ModelError(
            f"{exported} has no learned ranges: 'litert_int8_qat_tensorflow' needs a quantization-aware network."
        )
    content = biases.make_room(convert(exported, "int8", ends=options.io), exported / "model.onnx")
    content = weights.store_as_integers(content)
    if options.take_bytes:
        network_input.require(samples.calibration)
        content = bytes_input.take_bytes(content)
    atomic_write.write_bytes(target, content)
