"""Convert LiteRT files to objects and back, and read or replace the values of their tensors."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def read(content: bytes) -> schema.ModelT:
    """The model in the bytes of a LiteRT file. Nothing is checked: see `model.load`."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))


def write(model: schema.ModelT) -> bytes:
    """The bytes of a LiteRT file with this model."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def code(model: schema.ModelT, operator: schema.OperatorT) -> int:
    """The operator's number in `BuiltinOperator`."""
    found = model.operatorCodes[operator.opcodeIndex]
    return int(max(found.builtinCode, found.deprecatedBuiltinCode))


def array(model: schema.ModelT, tensor: schema.TensorT, dtype: type[np.generic]) -> np.ndarray:
    """The values that a tensor stores, as a read-only array of the tensor's shape.

    Args:
        model: the file's content.
        tensor: one of its tensors.
        dtype: NumPy's type for the tensor's type.
    """
    data = model.buffers[tensor.buffer].data
    return np.frombuffer(b"" if data is None else bytes(data), dtype).reshape([*map(int, tensor.shape)])


def store(model: schema.ModelT, tensor: schema.TensorT, values: np.ndarray) -> None:
    """Replace the values of a tensor in place. Other tensors that share its buffer keep the old values.

    Args:
        model: the file's content.
        tensor: one of its tensors.
        values: new values, with the tensor's shape and dtype.
    """
    if sum(other.buffer == tensor.buffer for graph in model.subgraphs for other in graph.tensors) > 1:
        model.buffers.append(schema.BufferT())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
