"""LiteRT with int8 weights and no calibration: activations quantized at every call.

Weights that LiteRT's converter leaves in float, those of fewer than 1,024 elements for example, are stored as
per-channel int8, too, behind a Dequantize that the interpreter runs once when it loads the file: so small a layer is
faster in float. So are depthwise convolutions, whose weights are stored likewise. They are more exact, too: they look
at each channel alone, and one step for all channels of the input is too large for those that hardly vary.
"""

from pathlib import Path

from ai_edge_litert.schema_py_generated import BuiltinOperator as Code

from octavo.data.splits import Samples
from octavo.project.files import atomic_write
from octavo.project.params.section import Model
from octavo.quantization.litert import weights
from octavo.quantization.recipes.litert._conversion import convert


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    content = weights.store_as_integers(convert(exported, "int8"))
    atomic_write.write_bytes(target, weights.compute_in_float(content, [Code.DEPTHWISE_CONV_2D]))
