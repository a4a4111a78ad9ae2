"""Convert LiteRT files to objects and back; read or replace the values of their tensors, and their metadata."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

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


def metadata(path: Path) -> dict[str, str]:
    """The entries of a file's metadata that are text, by name. The rest of the file is not read.

    Raises:
        Exception: any, if the file is damaged.
    """
    model = schema.Model.GetRootAsModel(np.memmap(path, np.uint8, "r"), 0)
    entries = map(model.Metadata, range(model.MetadataLength()))
    return _texts((each.Name(), _content(model, each.Buffer())) for each in entries)


def _content(model: Any, buffer: int) -> Any:
    """The bytes of a buffer of a file that was not converted to objects."""
    data = model.Buffers(buffer).DataAsNumpy() if buffer < model.BuffersLength() else 0
    return b"" if isinstance(data, int) else data


def metadata_of(model: schema.ModelT) -> dict[str, str]:
    """As `metadata`, of a model in memory."""
    entries = ((entry.name, model.buffers[entry.buffer].data) for entry in model.metadata or ())
    return _texts((name, b"" if data is None else data) for name, data in entries)


def _texts(entries: Iterable[tuple[bytes | None, Any]]) -> dict[str, str]:
    """The entries, names and bytes, that are text."""
    found: dict[str, str] = {}
    for name, data in entries:
        with suppress(UnicodeDecodeError):
            found[(name or b"").decode()] = bytes(data).decode()
    return found


def declare(model: schema.ModelT, entries: Mapping[str, str | None]) -> None:
    """Put these entries into the model's metadata, in place of those with the same names. None removes an entry."""
    kept = [entry for entry in model.metadata or () if (entry.name or b"").decode(errors="replace") not in entries]
    for name, value in entries.items():
        if value is None:
            continue
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(value.encode(), np.uint8)
        model.buffers.append(buffer)
        entry.name, entry.buffer = name.encode(), len(model.buffers) - 1
        kept.append(entry)
    model.metadata = kept or None


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
