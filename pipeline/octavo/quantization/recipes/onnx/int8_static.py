"""ONNX in full integer form: int8 weights, and uint8 activations with ranges from the calibration split.

The QDQ format with uint8 activations is fast on all CPUs. The QOperator format with int8 activations takes 3.5 to 7
times as long as FP32 on x86. With `search`, the method is found by trial. With `repair`, layers go back to float until
the accuracy drop is within its limit. Each trial is a row of `trials.csv` next to the model file.
"""

from dataclasses import replace
from pathlib import Path

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize
from octavo.quantization import ptq
from octavo.quantization.searching.static import StaticOptions, quantized


class Options(StaticOptions):
    round_output: bool = True
    """Round the outputs to 8 bits, as the LiteRT file of the same network has to. Both then give the same answers. With
    false they are more exact, by up to 0.2 points of agreement with the float network, and the files are no twins."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write an ONNX file in full integer form, and `trials.csv` next to it if there were trials.

    Args:
        exported: folder with `model.onnx`.
        target: the file to write.
        samples: calibration images for ranges and biases; selection images to judge trials.
        options: the method, or how to search for it.

    Raises:
        NotFinite: a trial is needed, and the network gives logits that are NaN or infinite.
        ModelError: an activation is NaN or infinite, or float images do not fit the option `take_bytes`.
        ParamsError: `float_layers` names a layer that the network does not have.
    """
    kernels = replace(ptq.ONNXRUNTIME, float_ends=not options.round_output)
    canonicalize.save(quantized(exported, target, samples, options, kernels), target)
