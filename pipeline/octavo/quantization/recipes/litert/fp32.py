"""The exported network as it is, in float32, for LiteRT."""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.project.files import atomic_write
from octavo.project.params.section import Model
from octavo.quantization.recipes.litert._conversion import convert


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    atomic_write.write_bytes(target, convert(exported))
