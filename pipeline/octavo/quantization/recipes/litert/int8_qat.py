"""LiteRT in integers throughout, with the ranges that quantization-aware training learned."""

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
    """What the file takes and gives."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    if b"FakeQuantWithMinMaxVars" not in (saved_model(exported) / "saved_model.pb").read_bytes():
        raise ModelError(f"{exported} has no learned ranges: 'litert_int8_qat' needs a quantization-aware network.")
    content = biases.make_room(convert(exported, "int8", ends=options.io), exported / "model.onnx")
    atomic_write.write_bytes(target, weights.store_as_integers(content))
