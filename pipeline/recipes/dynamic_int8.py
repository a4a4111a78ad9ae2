"""ONNX with int8 weights and no calibration: dense layers in integers, their input's range taken at every call.

Convolutions keep float compute over int8 weights: onnxruntime's dynamic integer convolution takes 1.3 to 13 times
FP32's time.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from pipeline import canonical, qdq
from pipeline.params import Model
from pipeline.splits import Samples


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    model = onnx.load(exported / "model.onnx")
    add_pre_process_metadata(model)
    with TemporaryDirectory() as folder:
        quantized = Path(folder, "model.onnx")
        quantize_dynamic(
            model,
            quantized,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(quantized)
    constants = qdq.initializers(model)
    for node in [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]:
        weight = node.input[qdq.WEIGHT_INPUT]
        if weight in constants:
            qdq.insert_dequantized(model, weight, qdq.nearest(constants[weight], qdq.OUTPUT_AXIS[node.op_type]))
    model.metadata_props.add(key="session.disable_quant_qdq", value="1")
    canonical.save(model, target)
