"""The content of a LiteRT file as objects: which operator one is, and the numbers that a tensor stores."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def read(content: bytes) -> schema.ModelT:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))


def write(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def code(model: schema.ModelT, operator: schema.OperatorT) -> int:
    """The builtin operator that it is."""
    found = model.operatorCodes[operator.opcodeIndex]
    return int(max(found.builtinCode, found.deprecatedBuiltinCode))


def array(model: schema.ModelT, tensor: schema.TensorT, dtype: type[np.generic]) -> np.ndarray:
    """What the tensor stores, in its shape; read-only."""
    data = model.buffers[tensor.buffer].data
    return np.frombuffer(b"" if data is None else bytes(data), dtype).reshape([*map(int, tensor.shape)])


def store(model: schema.ModelT, tensor: schema.TensorT, values: np.ndarray) -> None:
    """Put other numbers into a tensor; other tensors that hold the same buffer keep theirs."""
    if sum(other.buffer == tensor.buffer for graph in model.subgraphs for other in graph.tensors) > 1:
        model.buffers.append(schema.BufferT())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
