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
TOLERANCE = {"float": 1e-4, "fake-quantized": 0.05}
"""Largest error of ONNX logits, relative to Keras' (both as root mean square), that is rounding. Where values are
fake-quantized, a rounding error decides now and then which of two neighbouring steps a value falls on."""


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
    error = float(np.sqrt(np.mean((got - wanted) ** 2) / np.mean(wanted**2)))
    kind = "fake-quantized" if any(node.op_type == "QuantizeLinear" for node in onnx.load(path).graph.node) else "float"
    if not error <= TOLERANCE[kind]:
        raise ModelError(
            f"{path} does not compute what network '{model.name}' does: its logits are off by {error:.2g} of theirs; "
            f"allowed is {TOLERANCE[kind]:g} on {kind} networks. Replace the layer that tf2onnx converts wrongly."
        )
