"""The exported network as it is, in float32, for LiteRT."""

from pathlib import Path

from pipeline import files
from pipeline.params import Model
from pipeline.recipes._litert_conversion import convert
from pipeline.splits import Samples


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    files.write_bytes(target, convert(exported))
