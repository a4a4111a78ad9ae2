"""The inference graph of a Keras model, with its variables as constants, except kernels that are too large to convert.

tf2onnx makes fifty copies of a constant: for 400 MB it needs four minutes and 21 GB. A kernel that only matrix
multiplications read needs no conversion. So the converter sees it as an input, and its values are added afterwards.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.meta_graph_pb2 import TensorInfo
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.ops.resource_variable_ops import BaseResourceVariable

INPUT, OUTPUT = "images", "logits"
LARGE = 2**22
"""A kernel of at least this many bytes becomes an input of the graph."""
LIMIT = 2**31 - 1
"""Largest size in bytes of a graph and of its file: protobuf cannot read more."""
CONVOLUTIONAL = "ConvLSTM"
"""Beginning of the names of recurrent layers that stay loops, in both versions of Keras."""


@dataclass(frozen=True)
class Frozen:
    """An inference graph. Large kernels are placeholders in it."""

    graph: GraphDef
    source: TensorInfo
    target: TensorInfo
    kernels: dict[str, np.ndarray]
    """Name of a placeholder -> its values."""
    names: tuple[str, str] = (INPUT, OUTPUT)
    """Of the input and the output in the exported files."""


def freeze(model: keras.Model, image_shape: tuple[int, ...]) -> Frozen:
    """The inference graph of `model`, from one input `images`, float32 (N, *image_shape) with any N, to one output.

    Function calls are inlined. Loops, such as those of recurrent layers, stay loops.
    """
    large = [
        variable
        for variable in _variables(model)
        if variable.shape.rank == 2 and variable.shape.num_elements() * variable.dtype.size >= LARGE
    ]
    while True:
        graph, names = _trace(model, image_shape, large)
        definition = graph.graph.as_graph_def()
        known = dict(zip(names, large, strict=True))
        large = [variable for name, variable in known.items() if _is_only_multiplied(definition, name)]
        if len(large) == len(known):
            break
    kernels = {name: np.asarray(variable.read_value()) for name, variable in known.items()}
    return Frozen(definition, _tensor_info(graph.inputs[0]), _tensor_info(graph.outputs[0]), kernels)


def saved_model(frozen: Frozen) -> SavedModel | None:
    """A SavedModel of constants. Unlike `tf.saved_model.save`, it has no variables and no random fingerprint.

    Returns:
        None if it would be larger than protobuf's limit.
    """
    saved = SavedModel(saved_model_schema_version=1)
    meta = saved.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    meta.meta_info_def.tensorflow_version = tf.__version__
    meta.graph_def.CopyFrom(frozen.graph)
    signature = meta.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    signature.inputs[frozen.names[0]].CopyFrom(frozen.source)
    signature.outputs[frozen.names[1]].CopyFrom(frozen.target)
    if saved.ByteSize() + sum(value.nbytes for value in frozen.kernels.values()) > LIMIT:
        return None
    for node in meta.graph_def.node:
        if node.name in frozen.kernels:
            make_constant(node, frozen.kernels[node.name])
    return saved


def _trace(
    model: keras.Model, image_shape: tuple[int, ...], large: list[tf.Variable]
) -> tuple[tf.types.experimental.ConcreteFunction, list[str]]:
    """The frozen function with the `large` variables as inputs, and the names of these inputs."""
    images = tf.TensorSpec((None, *image_shape), tf.float32, name=INPUT)
    kernels = [tf.TensorSpec(each.shape, each.dtype, name=f"kernel_{index}") for index, each in enumerate(large)]

    def infer(images: tf.Tensor, *values: tf.Tensor) -> tf.Tensor:
        with _read_as({id(variable): value for variable, value in zip(large, values, strict=True)}):
            return model(images, training=False)

    with _functions_in_place(), _dense_in_known_shapes():
        function = tf.function(infer).get_concrete_function(images, *kernels)
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False, aggressive_inlining=True)
    return frozen, [tensor.op.name for tensor in frozen.inputs[1:]]


@contextmanager
def _functions_in_place() -> Iterator[None]:
    """Trace functions that layers compile themselves as plain Python. Grouped convolutions have such functions."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@contextmanager
def _dense_in_known_shapes() -> Iterator[None]:
    """Trace a dense layer on several positions as a matrix product between two reshapes to known sizes.

    Keras computes the sizes at run time, because the batch is free. Then converters cannot recognize the layer and fold
    its bias and batch normalization into it. LiteRT's converter would quantize each of these steps separately.
    """
    module = sys.modules[keras.layers.Dense.__module__].tf
    product = module.tensordot

    def known(values: tf.Tensor, kernel: tf.Tensor, axes: object, **options: object) -> tf.Tensor:
        places = values.shape[1:-1]
        if axes != [[values.shape.rank - 1], [0]] or not places.is_fully_defined():
            return product(values, kernel, axes, **options)
        rows = tf.matmul(tf.reshape(values, [-1, kernel.shape[0]]), kernel)
        return tf.reshape(rows, [-1, *places, kernel.shape[1]])

    with mock.patch.object(module, "tensordot", known):
        yield


def has_loops(frozen: Frozen) -> bool:
    """Whether the graph has a loop, such as that of a recurrent layer."""
    return any(node.op in ("While", "StatelessWhile") for node in frozen.graph.node)


@contextmanager
def unrolled(model: keras.Model) -> Iterator[None]:
    """Unroll the time steps of recurrent layers, also of nested ones, instead of using a loop.

    LiteRT's converter does not support a loop with a free batch.
    """
    with ExitStack() as changed:
        for layer in _layers(model):
            kinds = [kind.__name__ for kind in type(layer).__mro__]
            if "RNN" in kinds and not any(kind.startswith(CONVOLUTIONAL) for kind in kinds):
                for flag, value in (("unroll", True), ("_could_use_gpu_kernel", False)):
                    changed.enter_context(mock.patch.object(layer, flag, value, create=True))
        yield


@contextmanager
def _read_as(values: dict[int, tf.Tensor]) -> Iterator[None]:
    """Return another tensor when a variable is read. `values` is id of the variable -> tensor."""
    read = BaseResourceVariable._read_variable_op  # noqa: SLF001 - TensorFlow has no public way to replace variables

    def replaced(variable: tf.Variable, *args: object, **options: object) -> tf.Tensor:
        return values[id(variable)] if id(variable) in values else read(variable, *args, **options)

    with mock.patch.object(BaseResourceVariable, "_read_variable_op", replaced):
        yield


def _variables(model: Any) -> list[tf.Variable]:
    """TensorFlow's variables. Keras 3 has variables of its own around them."""
    return [each if isinstance(each, tf.Variable) else each.value for each in model.variables]


def _layers(model: Any) -> list[Any]:
    """The model's layers, also those of models and layers in it."""
    if hasattr(model, "submodules"):
        return list(model.submodules)
    return list(model._flatten_layers()) if hasattr(model, "_flatten_layers") else []  # noqa: SLF001 - of Keras 3


def goes_around(graph: GraphDef, name: str, value: np.ndarray) -> bool:
    """Whether a node holds a kernel that is too large to convert, and can be a placeholder.

    Args:
        graph: with the node.
        name: of the node.
        value: that it holds.
    """
    return value.ndim == 2 and value.nbytes >= LARGE and _is_only_multiplied(graph, name)


def _is_only_multiplied(graph: GraphDef, name: str) -> bool:
    """Whether only matrix products read the placeholder. Fake quantization needs a constant: converters fold it."""
    readers = [node.op for node in graph.node if name in (source.partition(":")[0] for source in node.input)]
    return set(readers) == {"MatMul"}


def make_constant(node: NodeDef, value: np.ndarray) -> None:
    """Make an operator with an attribute `dtype` a constant, in place."""
    kind = node.attr["dtype"].type
    node.op = "Const"
    node.ClearField("attr")
    node.attr["dtype"].type = kind
    tensor = node.attr["value"].tensor
    tensor.dtype = kind
    tensor.tensor_shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    tensor.tensor_content = value.tobytes()


def _tensor_info(tensor: tf.Tensor) -> TensorInfo:
    return TensorInfo(name=tensor.name, dtype=tensor.dtype.as_datatype_enum, tensor_shape=tensor.shape.as_proto())
