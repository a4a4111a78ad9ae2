"""LiteRT in float32: the exported network, converted without quantization."""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.project.files import atomic_write
from octavo.project.params.section import Model
from octavo.quantization.recipes.litert._conversion import convert


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write the LiteRT file of the network without quantization.

    Args:
        exported: folder with `saved_model/`.
        target: the file to write.
        samples: not used.
        options: none.

    Raises:
        ModelError: as `convert`.
    """
    atomic_write.write_bytes(target, convert(exported))
