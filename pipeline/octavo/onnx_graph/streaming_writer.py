"""The bytes of an ONNX model as protobuf writes them, piece by piece, so that its weights are not copied.

Fields are in the order of their numbers, as in protobuf's own deterministic form. A test compares the two.
"""

from collections.abc import Callable, Iterator, Mapping

import onnx
from google.protobuf.message import Message
from onnx import TensorProto

from octavo.onnx_graph import external_tensors
from octavo.onnx_graph.external_tensors import Content

Piece = bytes | Content
"""A part of a file. Contents are read only when they are written."""


def pieces(bare: onnx.ModelProto, contents: Mapping[str, Content]) -> list[Piece]:
    """The serialized model with its contents."""
    before, after = _around(bare, "graph")
    head, tail = _around(bare.graph, "initializer")
    tensors = [_framed(onnx.GraphProto, "initializer", _tensor(each, contents)) for each in bare.graph.initializer]
    graph = [head, *(piece for tensor in tensors for piece in tensor), tail]
    return [before, *_framed(onnx.ModelProto, "graph", graph), after]


def size(parts: list[Piece]) -> int:
    """Bytes of all pieces."""
    return sum(len(part) if isinstance(part, bytes) else part.size for part in parts)


def read(parts: list[Piece]) -> Iterator[bytes | memoryview]:
    """The bytes of the pieces, one after the other."""
    return (part if isinstance(part, bytes) else part.read() for part in parts)


def _tensor(tensor: TensorProto, contents: Mapping[str, Content]) -> list[Piece]:
    if not external_tensors.is_declared(tensor):
        return [tensor.SerializeToString(deterministic=True)]
    named = external_tensors.only(tensor, lambda field: field not in ("data_location", "external_data"))
    before, after = _around(named, "raw_data")
    return [before, *_framed(TensorProto, "raw_data", [contents[external_tensors.key(tensor)]]), after]


def _around(message: Message, field: str) -> tuple[bytes, bytes]:
    """The serialized fields with lower numbers than `field`, and those with higher ones."""
    numbers = {each.name: each.number for each in message.DESCRIPTOR.fields}

    def serialized(keep: Callable[[int], bool]) -> bytes:
        part = external_tensors.only(message, lambda name: keep(numbers[name]))
        return part.SerializeToString(deterministic=True)

    return serialized(lambda number: number < numbers[field]), serialized(lambda number: number > numbers[field])


def _framed(message: type[Message], field: str, parts: list[Piece]) -> list[Piece]:
    """A length-delimited field in protobuf's wire format."""
    number = message.DESCRIPTOR.fields_by_name[field].number
    return [_varint(number << 3 | 2) + _varint(size(parts)), *parts]


def _varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
