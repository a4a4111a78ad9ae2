"""Clipped biases, 8-bit weights with their scales, and fixed scales in LiteRT files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content import model as litert_model
from octavo.onnx_graph.integer_ranges import Stored, StoredIntegers, is_at_an_end
from octavo.project.files import damage

BIASES: dict[int, np.dtype[Any]] = {
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.INT64: np.dtype(np.int64),
}
WEIGHTS: dict[int, np.dtype[Any]] = {
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.UINT8: np.dtype(np.uint8),
}
COMPUTED = (*WEIGHTS, schema.TensorType.INT16)


@damage.told
def read(path: Path) -> StoredIntegers:
    """The number of clipped biases, the weights stored as 8-bit integers, and the fixed scales, of all subgraphs.

    A bias is clipped if it is at an end of its integer type. Constants without a scale are not weights, but shapes, for
    example.

    Raises:
        ModelError: the file cannot be read.
    """
    model = litert_model.load(path)
    constants = [tensor for tensor, stored in _quantized(model) if stored]
    biases = [_values(model, tensor, BIASES[tensor.type]) for tensor in constants if tensor.type in BIASES]
    cut_off = sum(int(np.count_nonzero(is_at_an_end(bias))) for bias in biases)
    weights = [_stored(model, tensor) for tensor in constants if tensor.type in WEIGHTS]
    computed = [tensor for tensor, stored in _quantized(model) if not stored and tensor.type in COMPUTED]
    steps = frozenset(float(scale) for tensor in computed for scale in tensor.quantization.scale)
    return StoredIntegers(cut_off, weights, steps)


def _quantized(model: schema.ModelT) -> Iterator[tuple[schema.TensorT, bool]]:
    """The tensors that have a scale, and whether the file stores their values."""
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            quantization, data = tensor.quantization, model.buffers[tensor.buffer].data
            if quantization is not None and quantization.scale is not None:
                yield tensor, data is not None and len(data) > 0


def _stored(model: schema.ModelT, tensor: schema.TensorT) -> Stored:
    integers = _values(model, tensor, WEIGHTS[tensor.type])
    quantization = tensor.quantization
    shape = [1] * integers.ndim
    if len(quantization.scale) > 1:
        shape[quantization.quantizedDimension] = -1
    zeros = np.zeros(1) if quantization.zeroPoint is None else quantization.zeroPoint
    scale, zero = (np.asarray(each).reshape(shape if len(each) > 1 else []) for each in (quantization.scale, zeros))
    return Stored(integers, scale, zero)


def _values(model: schema.ModelT, tensor: schema.TensorT, dtype: np.dtype[Any]) -> np.ndarray:
    return np.frombuffer(bytes(model.buffers[tensor.buffer].data), dtype).reshape(tensor.shape)
