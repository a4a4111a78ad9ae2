"""ONNX with int8 weights and no calibration: dense layers in integers, their input's range taken at every call.

Convolutions keep float compute over int8 weights: onnxruntime's dynamic integer convolution takes 1.3 to 13 times
FP32's time.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from pipeline import canonical, qdq, session_options
from pipeline.params import Model
from pipeline.splits import Samples


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    model = canonical.load(exported / "model.onnx")
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
    qdq.store_for_float(model, ("Conv", "ConvTranspose"))
    session_options.ask(model, session_options.EXACT_SUMS)
    canonical.save(model, target)
