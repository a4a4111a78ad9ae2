"""Small LiteRT files, written table by table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Code, Type = schema.BuiltinOperator, schema.TensorType
TYPES = {
    np.dtype(np.float32): Type.FLOAT32,
    np.dtype(np.int8): Type.INT8,
    np.dtype(np.uint8): Type.UINT8,
    np.dtype(np.int16): Type.INT16,
    np.dtype(np.int32): Type.INT32,
    np.dtype(np.int64): Type.INT64,
    np.dtype(np.bool_): Type.BOOL,
}

WEIGHTS = np.random.default_rng(0).integers(-127, 128, (3, 16)).astype(np.int8)
W_SCALE, OUT_SCALE, OUT_ZERO = 0.01, 0.05, 7
"""Of `dense`."""


@dataclass
class Graph:
    """One graph in the making; its tensors are named."""

    model: schema.ModelT
    made: schema.SubGraphT = field(default_factory=schema.SubGraphT)
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.made.tensors, self.made.operators, self.made.inputs, self.made.outputs = [], [], [], []

    def value(
        self,
        name: str,
        shape: Sequence[int],
        dtype: type = np.float32,
        scale: float | Sequence[float] = (),
        zero: int = 0,
        axis: int = 0,
    ) -> None:
        """A tensor that is computed, or given; a free dimension is -1."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name, [abs(size) for size in shape]
        tensor.shapeSignature, tensor.type, tensor.buffer = list(shape), TYPES[np.dtype(dtype)], 0
        scales = np.atleast_1d(np.asarray(scale, np.float32))
        if scales.size:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = scales, [zero] * scales.size
            tensor.quantization.quantizedDimension = axis
        self.made.tensors.append(tensor)
        self.names.append(name)

    def constant(self, name: str, array: np.ndarray, like: str | None = None, **quantization: Any) -> None:
        """A tensor that is stored, in the buffer of the constant `like` where one is named."""
        self.value(name, array.shape, array.dtype.type, **quantization)
        if like is not None:
            self.made.tensors[-1].buffer = self.made.tensors[self.names.index(like)].buffer
            return
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        self.made.tensors[-1].buffer = len(self.model.buffers) - 1

    def operator(
        self,
        code: int,
        inputs: Sequence[str],
        outputs: Sequence[str],
        options: str = "",
        version: int = 1,
        custom: str = "",
        **values: Any,
    ) -> None:
        """An operator; an input called "" is left out, `options` is the table of its options, with these values."""
        made, kind = schema.OperatorT(), schema.OperatorCodeT()
        kind.builtinCode, kind.deprecatedBuiltinCode, kind.version = code, min(code, 127), version
        kind.customCode = custom or None
        self.model.operatorCodes.append(kind)
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs = [self.names.index(name) if name else -1 for name in inputs]
        made.outputs = [self.names.index(name) for name in outputs]
        if options:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            made.builtinOptions = getattr(schema, f"{options}T")()
            for name, value in values.items():
                setattr(made.builtinOptions, name, value)
        self.made.operators.append(made)

    def ends(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.made.inputs, self.made.outputs = (
            [self.names.index(name) for name in names] for names in (inputs, outputs)
        )


class File:
    """A file in the making, with one graph to begin with."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version, self.model.buffers, self.model.operatorCodes = 3, [schema.BufferT()], []
        self.graphs: list[Graph] = []
        self.main = self.graph()

    def graph(self) -> Graph:
        self.graphs.append(Graph(self.model))
        return self.graphs[-1]

    def content(self) -> bytes:
        self.model.subgraphs = [graph.made for graph in self.graphs]
        builder = flatbuffers.Builder()
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def write(self, path: Path) -> Path:
        path.write_bytes(self.content())
        return path


def dense(source: Any = np.int8, target: Any = np.int8, scale: float = 1 / 255, zero: int = -128) -> File:
    """A dense layer in int8 on 4x4 images, with other types at its ends: a Quantize there makes int8 of integers."""
    file = File()
    main = file.main
    first, last = "image", "inside"
    main.value("image", [-1, 4, 4], np.int8, scale=scale, zero=zero)
    main.constant("w", WEIGHTS, scale=W_SCALE)
    main.value("inside", [-1, 3], np.int8, scale=OUT_SCALE, zero=OUT_ZERO)
    if source is not np.int8:
        first = "x"
        quantized: dict[str, Any] = {} if source is np.float32 else {"scale": scale, "zero": zero + 128}
        main.value("x", [-1, 4, 4], source, **quantized)
        main.operator(Code.QUANTIZE, ["x"], ["image"])
    main.operator(Code.FULLY_CONNECTED, ["image", "w", ""], ["inside"], "FullyConnectedOptions", version=4)
    if target is not np.int8:
        last = "y"
        quantized = {} if target is np.float32 else {"scale": OUT_SCALE, "zero": OUT_ZERO + 128}
        main.value("y", [-1, 3], target, **quantized)
        code = Code.DEQUANTIZE if target is np.float32 else Code.QUANTIZE
        main.operator(code, ["inside"], ["y"])
    main.ends([first], [last])
    return file
