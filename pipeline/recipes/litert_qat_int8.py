"""LiteRT in integers throughout, with the ranges that quantization-aware training learned."""

from pathlib import Path

import tensorflow as tf

from pipeline import files, litert_biases, litert_weights
from pipeline.errors import ModelError
from pipeline.params import Model
from pipeline.recipes._litert_conversion import Converter, Ends, convert, set_ends
from pipeline.splits import Samples

SOURCES = ("qat",)


class Options(Model):
    io: Ends = "float32"
    """What the file takes and gives."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    if b"FakeQuantWithMinMaxVars" not in (exported / "saved_model" / "saved_model.pb").read_bytes():
        raise ModelError(f"{exported} has no learned ranges: recipe 'litert_qat_int8' needs source 'qat'.")

    def configure(converter: Converter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        set_ends(converter, options.io)

    content = litert_biases.make_room(convert(exported, configure), exported / "model.onnx")
    files.write_bytes(target, litert_weights.store_as_integers(content))
