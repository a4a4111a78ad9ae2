"""LiteRT in full integer form: per-channel int8 weights, and int8 activations with calibrated ranges.

Ranges, biases, search and repair are those of the ONNX file of the same options. Its twin has the same integers where
onnxruntime computes all that LiteRT does in integers. Operators that no kernel computes in integers stay in float.
"""

from pathlib import Path

from octavo.data.splits import Samples
from octavo.quantization.litert.kernels import kernels_for
from octavo.quantization.litert.saving import prepared, save
from octavo.quantization.recipes.litert._options import EndOptions
from octavo.quantization.searching.static import StaticOptions, quantized


class Options(StaticOptions, EndOptions):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write a LiteRT file in full integer form, and `trials.csv` next to it if there were trials.

    Args:
        exported: folder with `model.onnx`.
        target: the file to write.
        samples: calibration images for ranges and biases; selection images to judge trials.
        options: the method, or how to search for it; type of input and output.

    Raises:
        NotFinite: a trial is needed, and the network gives logits that are NaN or infinite.
        ModelError: an operator has no form in LiteRT; an activation is NaN or infinite; or float images do not fit the
            option `take_bytes`.
        ParamsError: `float_layers` names a layer that the network does not have.
    """
    prepared(exported, samples, options.take_bytes)  # a search takes long, and a network may have no form in LiteRT
    save(quantized(exported, target, samples, options, kernels_for(options.io)), target, samples, options.io)
