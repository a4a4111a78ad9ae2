"""Recognize the network that a user names: built by a function, or brought as a file."""

from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from octavo.project.errors import ParamsError
from octavo.project.files import atomic_write
from octavo.project.params.networks import BUILT_IN_NAMES, DOORS, WITH_TENSORFLOW, builder, door
from octavo.project.setting_up.given_data import written

LARGEST = 2**31
"""Bytes of an ONNX file; protobuf has no larger ones."""
SUFFIXES = tuple(DOORS)
SAVED_MODEL = "saved_model.pb"
"""The file in a folder that makes it a SavedModel."""
SIDES = 4096
"""A fixed height or width above this is no image's."""


def section(given: str, project: Path, root: Path) -> dict[str, Any]:
    """What a user named, as values for `params.yaml`.

    Args:
        given: one of Octavo's networks, `module:function`, or a file relative to the working directory.
        project: the folder of `params.yaml`.
        root: of the repository.

    Returns:
        `build`; or `file` and `trained_with_keras`, and for ONNX `encoding` and `image_size` as the file's input says,
        None where it does not.

    Raises:
        ParamsError: there is no such network, or no such file, or it is not ONNX.
    """
    path = Path(given).expanduser()
    if path.suffix in SUFFIXES or (path / SAVED_MODEL).is_file():
        if not path.exists():
            raise ParamsError(f"Model '{given}': there is no such file here. Name another, or a network: {_known()}.")
        found: dict[str, Any] = {"file": written(path.resolve(), project, root)}
        found["trained_with_keras"] = door(path) in WITH_TENSORFLOW
        if not found["trained_with_keras"]:
            found["encoding"], found["image_size"] = _input(path)
        return found
    try:
        return {"build": builder(given)}
    except ValueError as error:
        raise ParamsError(f"{error}, or a file in {', '.join(SUFFIXES)}, or the folder of a SavedModel.") from None


def _known() -> str:
    return f"{', '.join(BUILT_IN_NAMES)}, or module:function of your own"


def _input(path: Path) -> tuple[dict[str, str] | None, list[int] | None]:
    """Encoding and image size of a network with one input for images; None for what is the default or unknown."""
    try:
        graph = onnx.load_model_from_string(atomic_write.content(path, LARGEST)).graph
    except (OSError, DecodeError) as error:
        raise ParamsError(f"Model '{path}' cannot be read as ONNX: {error}. Export it again.") from None
    stored = {each.name for each in graph.initializer}
    inputs = [each.type.tensor_type for each in graph.input if each.name not in stored]
    if len(inputs) != 1:  # the stage that brings it in refuses it, and names the inputs
        return None, None
    sides = [side.dim_value for side in inputs[0].shape.dim]
    layout, size = _layout(sides)
    dtype = "uint8" if inputs[0].elem_type == onnx.TensorProto.UINT8 else "float32"
    fixed = size if all(0 < side <= SIDES for side in size) else []
    return ({"layout": layout, "dtype": dtype} if (layout, dtype) != ("stored", "float32") else None), fixed or None


def _layout(sides: list[int]) -> tuple[str, list[int]]:
    """Layout, height and width of an input with these sides, the batch first; 0 is a free side."""
    match sides:
        case [_, 1, height, width]:
            return "channel_added_first", [height, width]
        case [_, 3, height, width] if width != 3:
            return "channels_first", [height, width]
        case [_, height, width, 1]:
            return "channel_added_last", [height, width]
        case [_, height, width] | [_, height, width, _]:
            return "stored", [height, width]
    return "stored", []
