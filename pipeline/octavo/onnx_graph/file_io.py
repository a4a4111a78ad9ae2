"""Read ONNX files with checks, and write them as a stream, in two files if one exceeds protobuf's limit.

Protobuf holds at most 2 GB. A larger model's weights go into a second file beside it, as ONNX's external data.

onnx-ir is not used for it, since it reads external data from outside the model's folder.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from octavo.onnx_graph import external_tensors, streaming_writer, structure
from octavo.onnx_graph.external_tensors import Content
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write, damage

LIMIT = 2**31 - 1
"""Bytes of the largest file that protobuf can read."""
PAGE = 4096
"""External data begin at multiples of this offset, so that they can be mapped into memory."""
CHUNK = 2**24


@damage.told
def load(
    path: Path, external: bool = True, accept: Callable[[onnx.ModelProto], None] = lambda _: None
) -> onnx.ModelProto:
    """The model with all of its weights, or without its external data.

    Args:
        path: the file.
        external: whether to load external data.
        accept: a further check. It comes before that of the structure, and raises an error.

    Raises:
        ModelError: the file is missing, not ONNX or inconsistent, or its external data are missing, outside its folder
            or of another size.
    """
    others = external_data(path)
    model = _parsed(path)
    accept(model)
    structure.check(model, path)
    if external and others:
        try:
            onnx.load_external_data_for_model(model, str(path.parent))
        except (OSError, onnx.checker.ValidationError) as error:
            raise ModelError(f"Cannot load {path}: {error}") from None
    return model


def _parsed(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load_model_from_string(atomic_write.content(path, LIMIT))
    except OSError as error:
        raise ModelError(f"Cannot load {path}: {error.strerror}. Give the path of an ONNX file.") from None
    except DecodeError as error:
        said = " ".join(str(error).split()).removesuffix(".")
        raise ModelError(f"{path} is not ONNX, or it is damaged ({said}). Export it again, or copy it again.") from None


@damage.told
def external_data(path: Path) -> list[Path]:
    """The files beside `path` with weights of it, sorted; empty if all weights are in the file itself.

    Raises:
        ModelError: one of them is outside the folder of `path` or does not exist, or `path` is not ONNX.
    """
    found = named_beside(path)
    for other in found:
        if not other.is_file():
            raise _distrusted(path, other, "which is not a file")
    return found


@damage.told
def named_beside(path: Path) -> list[Path]:
    """The files beside `path` that it takes weights from, sorted, whether they exist or not.

    Raises:
        ModelError: one of them is outside the folder of `path`, or `path` is not ONNX.
    """
    if not path.is_file() or not _holds(path, external_tensors.LOCATION.encode()):
        return []
    tensors = structure.tensors(_parsed(path))
    found = sorted(
        {path.parent / _location(tensor, path) for tensor in tensors if external_tensors.is_declared(tensor)}
    )
    for other in found:
        try:
            outside = not other.resolve().is_relative_to(path.parent.resolve())
            other.is_file()
        except (OSError, ValueError):  # a name that is too long, or has a NUL
            raise _distrusted(path, f"a name of {len(str(other)):,} characters", "which no file can have") from None
        if outside:
            raise _distrusted(path, other, "outside its folder")
    return found


def _distrusted(path: Path, other: Path | str, why: str) -> ModelError:
    return ModelError(
        f"{path} takes weights from {other}, {why}; allowed are files beside it. "
        "Do not trust such a model from others; export one of your own again."
    )


def _location(tensor: TensorProto, path: Path) -> str:
    try:
        return external_tensors.key(tensor)
    except ValueError:
        raise ModelError(f"Cannot load {path}: tensor {tensor.name} does not name one file for its weights.") from None


def save(bare: onnx.ModelProto, contents: Mapping[str, Content], path: Path) -> None:
    """Write the model to `path`. If the file would be too large, its large weights go to `<path>.data` beside it.

    Args:
        bare: the model, with its large initializers only declared.
        contents: their contents by key.
        path: the file to write.
    """
    beside = path.with_name(f"{path.name}.data")
    pieces = streaming_writer.pieces(bare, contents)
    if streaming_writer.size(pieces) <= LIMIT:
        atomic_write.write_pieces(path, streaming_writer.read(pieces))
        beside.unlink(missing_ok=True)
        return
    model = external_tensors.only(bare, lambda _: True)
    data = _place(model, contents, beside.name)
    path.unlink(missing_ok=True)
    atomic_write.write_pieces(beside, streaming_writer.read(data))
    atomic_write.write_bytes(path, model.SerializeToString(deterministic=True))


def _place(model: onnx.ModelProto, contents: Mapping[str, Content], location: str) -> list[streaming_writer.Piece]:
    """Give every declared initializer its offset in the file `location`, and return the pieces of that file."""
    pieces: list[streaming_writer.Piece] = []
    end = 0
    for tensor in filter(external_tensors.is_declared, model.graph.initializer):
        content = contents[external_tensors.key(tensor)]
        offset = end + -end % PAGE
        pieces += [bytes(offset - end), content]
        end = offset + content.size
        del tensor.external_data[:]
        for key, value in {"location": location, "offset": offset, "length": content.size}.items():
            tensor.external_data.add(key=key, value=str(value))
    return pieces


def has_operator(path: Path, kind: str) -> bool:
    """Whether an operator of this kind is in the main graph of the file."""
    return _holds(path, kind.encode()) and any(node.op_type == kind for node in _parsed(path).graph.node)


def _holds(path: Path, word: bytes) -> bool:
    """Whether `word` occurs in the file, which may be too large to be parsed for that."""
    end = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if word in end + chunk:
                return True
            end = (end + chunk)[1 - len(word) :]
    return False
