"""ONNX with int8 weights and float compute: a quarter of the file at FP32's speed, without calibration.

For networks so small that integer kernels are slower than float ones. onnxruntime turns the weights back into float
when it loads the file, if told so by a session option that travels in the model's metadata: `pipeline.runtimes` sets
it; elsewhere set `session.disable_quant_qdq` to 1, else the weights are turned back at every call.
"""

from pathlib import Path

import onnx

from pipeline import canonical, qdq
from pipeline.params import Model
from pipeline.splits import Samples


class Options(Model):
    per_channel: bool = True


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    model = onnx.load(exported / "model.onnx")
    constants = qdq.initializers(model)
    for node in [node for node in model.graph.node if node.op_type in qdq.OUTPUT_AXIS]:
        weight = node.input[qdq.WEIGHT_INPUT]
        if weight in constants:
            axis = qdq.OUTPUT_AXIS[node.op_type] if options.per_channel else None
            qdq.insert_dequantized(model, weight, qdq.nearest(constants[weight], axis))
    model.metadata_props.add(key="session.disable_quant_qdq", value="1")
    canonical.save(model, target)
