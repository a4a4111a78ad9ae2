"""LiteRT in integers throughout, with the ranges that quantization-aware training learned."""

from pathlib import Path

import tensorflow as tf

from octavo.data.splits import Samples
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write
from octavo.project.params.section import Model
from octavo.quantization.litert import biases, weights
from octavo.quantization.recipes.litert._conversion import Converter, Ends, convert, set_ends

LEARNED = True


class Options(Model):
    io: Ends = "float32"
    """What the file takes and gives."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    if b"FakeQuantWithMinMaxVars" not in (exported / "saved_model" / "saved_model.pb").read_bytes():
        raise ModelError(f"{exported} has no learned ranges: 'litert_int8_qat' needs a quantization-aware network.")

    def configure(converter: Converter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        set_ends(converter, options.io)

    content = biases.make_room(convert(exported, configure), exported / "model.onnx")
    atomic_write.write_bytes(target, weights.store_as_integers(content))
