"""Keras to the two exchange formats that every recipe starts from: checked ONNX, and a SavedModel of constants.

Both come from one frozen graph, and both have the same bytes in every run. A network trained with fake
quantization keeps it in both: as QuantizeLinear/DequantizeLinear on activations in ONNX, as FakeQuant nodes
in the SavedModel.
"""

from pathlib import Path

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
import tf_keras as keras
from tensorflow.core.protobuf.meta_graph_pb2 import TensorInfo
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from pipeline import canonical
from pipeline.errors import ModelError
from pipeline.runtimes import onnx as onnx_runtime

INPUT, OUTPUT = "images", "logits"
OPSET = 17
TOLERANCE = 1e-4
"""Largest relative difference between ONNX and Keras logits that is rounding; a fake-quantized step is larger."""


def export(model: keras.Model, samples: np.ndarray, folder: Path) -> None:
    """Write `model.onnx` and `saved_model/saved_model.pb` into `folder`.

    Args:
        model: from float32 images (N, H, W[, C]) to logits (N, classes).
        samples: float32 images on which the ONNX file must give Keras' logits.

    Raises:
        ModelError: the exported network does not compute what the Keras model does.
    """
    frozen = _freeze(model)
    (folder / "saved_model").mkdir(parents=True, exist_ok=True)
    (folder / "saved_model" / "saved_model.pb").write_bytes(_saved_model(frozen))
    path = folder / "model.onnx"
    canonical.save(_to_onnx(frozen), path)
    _check(path, model, samples)


def _freeze(model: keras.Model) -> tf.Graph:
    """The inference graph with variables as constants, one input `images`, one output."""
    shape = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)
    concrete = tf.function(lambda images: model(images, training=False)).get_concrete_function(shape)
    return convert_variables_to_constants_v2(concrete)


def _saved_model(frozen: tf.Graph) -> bytes:
    """A SavedModel without variables, and without the random fingerprint that `tf.saved_model.save` adds."""
    saved = SavedModel(saved_model_schema_version=1)
    meta = saved.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    meta.meta_info_def.tensorflow_version = tf.__version__
    meta.graph_def.CopyFrom(frozen.graph.as_graph_def())
    signature = meta.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    signature.inputs[INPUT].CopyFrom(_tensor_info(frozen.inputs[0]))
    signature.outputs[OUTPUT].CopyFrom(_tensor_info(frozen.outputs[0]))
    return bytes(saved.SerializeToString(deterministic=True))


def _tensor_info(tensor: tf.Tensor) -> TensorInfo:
    return TensorInfo(name=tensor.name, dtype=tensor.dtype.as_datatype_enum, tensor_shape=tensor.shape.as_proto())


def _to_onnx(frozen: tf.Graph) -> onnx.ModelProto:
    source, target = frozen.inputs[0].name, frozen.outputs[0].name
    model, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(), input_names=[source], output_names=[target], opset=OPSET
    )
    return canonical.rename_ends(model, {source: INPUT, target: OUTPUT})


def _check(path: Path, model: keras.Model, samples: np.ndarray) -> None:
    wanted = model(samples, training=False).numpy()
    got = onnx_runtime.open_model(path)(samples)
    spread = float(np.abs(wanted).max()) or 1.0
    same_class = float(np.mean(got.argmax(1) == wanted.argmax(1)))
    error = float(np.abs(got - wanted).max()) / spread
    fake_quantized = any(node.op_type == "QuantizeLinear" for node in onnx.load(path).graph.node)
    if same_class < 0.99 or (error > TOLERANCE and not fake_quantized):
        raise ModelError(
            f"{path} does not compute what network '{model.name}' does: logits differ by {error:.2g} of their range, "
            f"top-1 agrees on {same_class:.2%}. Allowed is {TOLERANCE:g} on float networks, 99% on quantized ones. "
            "Replace the layer that tf2onnx converts wrongly."
        )
