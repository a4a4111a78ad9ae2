"""LiteRT in full integer form, with the ranges that quantization-aware training learned."""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write
from octavo.project.params.section import Model
from octavo.quantization.litert import biases, weights
from octavo.quantization.recipes.litert._conversion import Ends, convert, saved_model

LEARNED = True


class Options(Model):
    io: Ends = "float32"
    """Type of the file's input and output."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write a LiteRT file in full integer form with the learned ranges.

    Args:
        exported: folder with `saved_model/` and `model.onnx` of a quantization-aware network.
        target: the file to write.
        samples: not used: the network has ranges.
        options: type of input and output.

    Raises:
        ModelError: the network has no learned ranges; or as `convert`.
    """
    if b"FakeQuantWithMinMaxVars" not in (saved_model(exported) / "saved_model.pb").read_bytes():
        raise ModelError(f"{exported} has no learned ranges: 'litert_int8_qat' needs a quantization-aware network.")
    content = biases.make_room(convert(exported, "int8", ends=options.io), exported / "model.onnx")
    atomic_write.write_bytes(target, weights.store_as_integers(content))
