"""What a LiteRT file is as a file: verified by its schema, aligned, and how XNNPACK takes it."""

from pathlib import Path

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

ALIGNMENT = 16
"""Bytes that the start of each buffer is to be a multiple of, as the schema's `force_align` says."""
DATA = 4
"""Where a buffer's table tells the place of its bytes: they are the first field."""


def verified(path: Path) -> bool:
    """Whether the schema's C++ verifier finds no fault in the file.

    ai-edge-litert's interpreter runs it before anything else. That it does so is seen on a copy with one fault that
    nothing but a verifier notices: a tensor's name is not terminated.
    """
    content = path.read_bytes()
    return _opens(content) and not _opens(_unterminated(content))


def _unterminated(content: bytes) -> bytes:
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    name = graph.Tensors(graph.Inputs(0)).Name()
    end = content.index(name) + len(name)
    return content[:end] + b"!" + content[end + 1 :]


def _opens(content: bytes) -> bool:
    try:
        Interpreter(model_content=content)
    except ValueError:
        return False
    return True


def unaligned(path: Path) -> int:
    """Number of stored buffers that do not start at a multiple of 16 bytes of the file."""
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    buffers = [model.Buffers(place) for place in range(model.BuffersLength())]
    return sum(_start(buffer) % ALIGNMENT > 0 for buffer in buffers if buffer.DataLength())


def _start(buffer: schema.Buffer) -> int:
    """Where the buffer's bytes start in the file."""
    table = buffer._tab  # noqa: SLF001 - the generated class tells no place
    return int(table.Vector(table.Offset(DATA)))


def delegates(path: Path) -> tuple[int, bool]:
    """Into how many parts XNNPACK splits the network, and whether a single part leads from its input to its output."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    parts = [part for part in interpreter._get_ops_details() if part["op_name"] == "DELEGATE"]  # noqa: SLF001
    ends = [source["index"] in part["inputs"] and target["index"] in part["outputs"] for part in parts]
    return len(parts), ends == [True]
