"""ONNX with int8 weights and float compute: a quarter of the file at FP32's speed, without calibration.

For networks so small that integer kernels are slower than float ones. onnxruntime turns the weights back into float
when it loads the file, if told so by a session option that travels in the model's metadata: `pipeline.runtimes` sets
it; elsewhere set `session.disable_quant_qdq` to 1, else the weights are turned back at every call.
"""

from pathlib import Path

from pipeline import canonical, qdq
from pipeline.params import Model
from pipeline.splits import Samples


class Options(Model):
    per_channel: bool = True


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    model = canonical.load(exported / "model.onnx")
    qdq.store_for_float(model, qdq.OUTPUT_AXIS, options.per_channel)
    canonical.save(model, target)
