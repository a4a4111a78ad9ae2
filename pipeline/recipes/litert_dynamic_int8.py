"""LiteRT with int8 weights and no calibration: activations quantized at every call.

LiteRT's converter leaves weights of fewer than 1,024 elements in float. They are stored as per-channel int8, too,
behind a Dequantize that the interpreter runs once when it loads the file: so small a layer is faster in float.
"""

from pathlib import Path

import flatbuffers
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from pipeline import files, qdq
from pipeline.params import Model
from pipeline.splits import Samples

OUTPUT_AXIS = {
    schema.BuiltinOperator.CONV_2D: 0,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.FULLY_CONNECTED: 0,
}
"""Operators with weights, and the axis of the output channels in them."""


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(exported / "saved_model"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    files.write_bytes(target, _with_small_weights_quantized(converter.convert()))


def _with_small_weights_quantized(content: bytes) -> bytes:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    for graph in model.subgraphs:
        for operator in list(graph.operators):
            axis = OUTPUT_AXIS.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
            if axis is not None and _is_float_constant(model, graph.tensors[operator.inputs[1]]):
                source, weight, *rest = operator.inputs
                operator.inputs = [source, _dequantized(model, graph, weight, axis), *rest]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _is_float_constant(model: schema.ModelT, tensor: schema.TensorT) -> bool:
    return tensor.type == schema.TensorType.FLOAT32 and model.buffers[tensor.buffer].data is not None


def _dequantized(model: schema.ModelT, graph: schema.SubGraphT, index: int, axis: int) -> int:
    """Make the constant tensor `index` int8 in place; returns the index of a float tensor dequantized from it."""
    tensor, real = graph.tensors[index], schema.TensorT()
    real.shape, real.type, real.name = tensor.shape, tensor.type, tensor.name + b"/real"
    graph.tensors.append(real)
    _quantize(model, tensor, axis)
    operator = schema.OperatorT()
    operator.opcodeIndex = _operator_code(model, schema.BuiltinOperator.DEQUANTIZE)
    operator.inputs, operator.outputs = [index], [len(graph.tensors) - 1]
    graph.operators.insert(0, operator)
    return len(graph.tensors) - 1


def _quantize(model: schema.ModelT, tensor: schema.TensorT, axis: int) -> None:
    buffer = model.buffers[tensor.buffer]
    grid = qdq.nearest(np.frombuffer(bytes(buffer.data), np.float32).reshape(tensor.shape), axis)
    buffer.data = np.frombuffer(grid.integers.tobytes(), np.uint8)
    tensor.type = schema.TensorType.INT8
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = grid.scale
    tensor.quantization.zeroPoint = np.zeros(len(grid.scale), np.int64)
    tensor.quantization.quantizedDimension = axis


def _operator_code(model: schema.ModelT, builtin: int) -> int:
    """Where `builtin` stands among the model's operator codes; per-channel Dequantize needs version 5."""
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = 5
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
