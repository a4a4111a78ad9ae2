"""Recognize the network that a user names: built by a function, or brought as a file."""

from pathlib import Path
from typing import Any

from octavo.project.errors import ParamsError
from octavo.project.params.networks import BUILT_IN_NAMES, DOORS, SAVED_MODEL, WITH_TENSORFLOW, builder, door
from octavo.project.setting_up import trial
from octavo.project.setting_up.given_data import written

SUFFIXES = tuple(DOORS)
SIDES = 4096
"""A fixed height or width above this is no image's."""


def section(given: str, project: Path, root: Path) -> dict[str, Any]:
    """What a user named, as values for `params.yaml`.

    Args:
        given: one of Octavo's networks, `module:function`, or a file relative to the working directory.
        project: the folder of `params.yaml`.
        root: of the repository.

    Returns:
        `build`; or `file` and `seen`, what was seen of the file, or None; and for ONNX `layout` and `image_size` as the
        file's input says, None where it does not.

    Raises:
        ParamsError: there is no such network, or no such file.
        ModelError: the file is refused.
    """
    path = Path(given).expanduser()
    if path.suffix in SUFFIXES or (path / SAVED_MODEL).is_file():
        if not path.exists():
            raise ParamsError(f"Model '{given}': there is no such file here. Name another, or a network: {_known()}.")
        found: dict[str, Any] = {"file": written(path.resolve(), project, root)}
        found["seen"] = seen = trial.network(path)
        if seen and seen.shape and door(path) not in WITH_TENSORFLOW:
            found["layout"], size = _layout([0, *(side or 0 for side in seen.shape)])
            found["image_size"] = size if all(0 < side <= SIDES for side in size) else None
        return found
    try:
        builder(given)
    except ValueError as error:
        raise ParamsError(f"{error}, or a file in {', '.join(SUFFIXES)}, or the folder of a SavedModel.") from None
    if given not in BUILT_IN_NAMES:
        trial.function(given, f"Network '{given}'", project, root)
    return {"build": given}


def _known() -> str:
    return f"{', '.join(BUILT_IN_NAMES)}, or module:function of your own"


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
