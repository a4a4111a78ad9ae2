"""LiteRT in integers throughout, with the ranges that quantization-aware training learned."""

from pathlib import Path

import tensorflow as tf

from pipeline import files
from pipeline.errors import ModelError
from pipeline.params import Model
from pipeline.splits import Samples

SOURCES = ("qat",)


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    if b"FakeQuantWithMinMaxVars" not in (exported / "saved_model" / "saved_model.pb").read_bytes():
        raise ModelError(f"{exported} has no learned ranges: recipe 'litert_qat_int8' needs source 'qat'.")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(exported / "saved_model"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    files.write_bytes(target, converter.convert())
