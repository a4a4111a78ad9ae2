"""Pack a description of a graph into the bytes of a LiteRT file: equal parts stored once, data aligned to 16 bytes.

It is our own because the generated `Pack` forgets the alignment that kernels want, and writes every vector as often as
it is used: scales and zero points are a tenth of a small file.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

ALIGNMENT = 16
"""Bytes. Kernels read weights in vectors of this size."""
NAME = 8
"""Bytes of a name of up to three letters: its length, the letters, and a zero."""
RANK = 4
SHAPE = (1 + RANK) * 4 % ALIGNMENT
"""Bytes of a shape of four axes, and of the number of axes before it, that are left behind whole gaps."""
SCHEMA = 3
OPTIONS = vars(schema.BuiltinOptions)


@dataclass(frozen=True, eq=False)
class Scaling:
    """Integers that stand for real values: real = scale * (integer - zero)."""

    scale: np.ndarray
    """float32, one value per channel."""
    zero: np.ndarray
    """int64, likewise."""
    axis: int = 0
    """Of the channels. Without effect if there is one value."""


@dataclass(frozen=True, eq=False)
class FileTensor:
    """One tensor of a graph."""

    shape: tuple[int, ...]
    type: int
    """A `TensorType`."""
    scaling: Scaling | None = None
    data: bytes | None = None
    """The content of a constant."""
    name: str = ""


@dataclass(frozen=True, eq=False)
class FileOperator:
    """One operator of a graph."""

    code: int
    """A `BuiltinOperator`."""
    version: int
    inputs: Sequence[int]
    """Numbers of tensors; -1 for an omitted one."""
    outputs: Sequence[int]
    options: Any = None
    """An object of one of the schema's option classes."""


@dataclass
class FileGraph:
    """A file with one graph."""

    tensors: list[FileTensor] = field(default_factory=list)
    calls: list[FileOperator] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    metadata: Mapping[str, str] = field(default_factory=dict)


def pack(graph: FileGraph) -> bytes:
    """The bytes of a LiteRT file. The same graph gives the same bytes."""
    return _Packing(graph).content()


class _Packing:
    """One file in the making. Flatbuffers are written from their end, so parts come before what refers to them."""

    def __init__(self, graph: FileGraph) -> None:
        self.graph = graph
        self.builder = flatbuffers.Builder(1 << 16)
        self.known: dict[Hashable, int] = {}
        contents = [tensor.data for tensor in graph.tensors if tensor.data is not None]
        contents += [value.encode() for value in graph.metadata.values()]
        self.buffers = {content: place for place, content in enumerate(dict.fromkeys(contents), start=1)}
        self.names = [tensor.name for tensor in graph.tensors if len(tensor.name) < NAME // 2]
        self.shapes = list(dict.fromkeys(tensor.shape for tensor in graph.tensors if len(tensor.shape) == RANK))
        self.codes = list(dict.fromkeys((call.code, call.version) for call in graph.calls))

    def content(self) -> bytes:
        buffers = [self._table("Buffer")] + [self._table("Buffer", Data=self._data(each)) for each in self.buffers]
        entries = [
            self._table("Metadata", Name=self._string(name), Buffer=self.buffers[value.encode()])
            for name, value in self.graph.metadata.items()
        ]
        tensors = [self._tensor(tensor) for tensor in self.graph.tensors]
        calls = [self._call(call) for call in self.graph.calls]
        subgraph = self._table(
            "SubGraph",
            Tensors=self._offsets(tensors),
            Inputs=self._vector(self.graph.inputs, np.int32),
            Outputs=self._vector(self.graph.outputs, np.int32),
            Operators=self._offsets(calls),
        )
        codes = [self._code(*code) for code in self.codes]
        parts = {
            "OperatorCodes": self._offsets(codes),
            "Subgraphs": self._offsets([subgraph]),
            "Buffers": self._offsets(buffers),
        }
        if entries:
            parts["Metadata"] = self._offsets(entries)
        self.builder.Finish(self._table("Model", Version=SCHEMA, **parts), file_identifier=b"TFL3")
        return bytes(self.builder.Output())

    def _tensor(self, tensor: FileTensor) -> int:
        fields = {
            "Shape": self._vector(tensor.shape, np.int32),
            "Type": tensor.type,
            "Buffer": 0 if tensor.data is None else self.buffers[tensor.data],
        }
        if tensor.name:
            fields["Name"] = self._string(tensor.name)
        if tensor.scaling is not None:
            fields["Quantization"] = self._scaling(tensor.scaling)
        return self._table("Tensor", **fields)

    def _scaling(self, scaling: Scaling) -> int:
        scale, zero = self._vector(scaling.scale, np.float32), self._vector(scaling.zero, np.int64)
        key = ("scaling", scale, zero, scaling.axis)
        return self._once(
            key,
            lambda: self._table("QuantizationParameters", Scale=scale, ZeroPoint=zero, QuantizedDimension=scaling.axis),
        )

    def _call(self, call: FileOperator) -> int:
        fields = {
            "OpcodeIndex": self.codes.index((call.code, call.version)),
            "Inputs": self._vector(call.inputs, np.int32),
            "Outputs": self._vector(call.outputs, np.int32),
        }
        if call.options is not None and vars(call.options):
            name = type(call.options).__name__.removesuffix("T")
            key = (name, *sorted(vars(call.options).items()))
            fields["BuiltinOptionsType"] = OPTIONS[name]
            fields["BuiltinOptions"] = self._once(key, lambda: int(call.options.Pack(self.builder)))
        return self._table("Operator", **fields)

    def _code(self, code: int, version: int) -> int:
        """Numbers up to 127 have a field of their own. Readers take the larger one of the two."""
        if code <= schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES:
            return self._table("OperatorCode", DeprecatedBuiltinCode=code, Version=version)
        old = schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES
        return self._table("OperatorCode", DeprecatedBuiltinCode=old, Version=version, BuiltinCode=code)

    def _table(self, name: str, **fields: int) -> int:
        """A table of the schema, with the fields by their names in the generated code."""
        getattr(schema, f"{name}Start")(self.builder)
        for field_name, value in fields.items():
            getattr(schema, f"{name}Add{field_name}")(self.builder, value)
        return int(getattr(schema, f"{name}End")(self.builder))

    def _string(self, text: str) -> int:
        return self._once(("string", text), lambda: int(self.builder.CreateString(text)))

    def _vector(self, values: Sequence[int] | np.ndarray, dtype: type[np.generic]) -> int:
        array = np.asarray(values, dtype).ravel()
        return self._once((dtype, array.tobytes()), lambda: int(self.builder.CreateNumpyVector(array)))

    def _data(self, content: bytes) -> int:
        """A buffer's data. The gap that its alignment leaves is filled with parts that come anyway."""
        while (gap := -(self.builder.Offset() + len(content)) % ALIGNMENT) and self._fill(gap):
            pass
        self.builder.StartVector(1, len(content), ALIGNMENT)
        self.builder.head -= len(content)
        self.builder.Bytes[self.builder.head : self.builder.head + len(content)] = content
        return int(self.builder.EndVector())

    def _fill(self, gap: int) -> bool:
        """Write a name or a shape if that makes the gap smaller."""
        if self.names and gap >= NAME:
            self._string(self.names.pop())
        elif self.shapes and gap >= SHAPE:
            self._vector(self.shapes.pop(), np.int32)
        else:
            return False
        return True

    def _offsets(self, offsets: Iterable[int]) -> int:
        listed = list(offsets)
        self.builder.StartVector(4, len(listed), 4)
        for offset in reversed(listed):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def _once(self, key: Hashable, make: Callable[[], int]) -> int:
        """The place of a part that may be shared. It is written the first time that it is asked for."""
        if key not in self.known:
            self.known[key] = make()
        return self.known[key]
