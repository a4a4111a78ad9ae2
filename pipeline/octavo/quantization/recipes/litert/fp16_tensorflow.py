"""LiteRT by TensorFlow's converter, with weights stored in FP16 and float32 compute."""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.onnx_graph.rewrites import network_input
from octavo.project.files import atomic_write
from octavo.quantization.converter import bytes_input
from octavo.quantization.converter.conversion import convert
from octavo.quantization.recipes.litert._options import InputOptions


class Options(InputOptions):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write a LiteRT file with FP16 weights.

    Args:
        exported: folder with `saved_model/`.
        target: the file to write.
        samples: only for a check of the option `take_bytes`.
        options: type of the model's input.

    Raises:
        ModelError: as `convert`, or float images do not fit the option `take_bytes`.
    """
    content = convert(exported, "float16")
    if options.take_bytes:
        network_input.require(samples.calibration)
        content = bytes_input.take_bytes(content)
    atomic_write.write_bytes(target, content)
