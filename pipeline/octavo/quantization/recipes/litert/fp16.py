"""LiteRT with weights stored in FP16 and float32 compute."""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.project.files import atomic_write
from octavo.project.params.section import Model
from octavo.quantization.recipes.litert._conversion import convert


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write a LiteRT file with FP16 weights.

    Args:
        exported: folder with `saved_model/`.
        target: the file to write.
        samples: not used.
        options: none.

    Raises:
        ModelError: as `convert`.
    """
    atomic_write.write_bytes(target, convert(exported, "float16"))
