"""The boundary around what reads model files: whatever it stumbles over is told of the file."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from octavo.project.errors import ModelError, OctavoError

LONGEST = 200
"""Characters of a foreign message that are repeated."""

Rest = ParamSpec("Rest")
Found = TypeVar("Found")


def told(read: Callable[Concatenate[Path, Rest], Found]) -> Callable[Concatenate[Path, Rest], Found]:
    """A reader of model files that raises nothing of Python's: a file that lies about itself can lead anywhere.

    Octavo's own errors pass, and so does what no file causes: no memory, no disk.

    Raises:
        ModelError: for any other exception; it names the file.
    """

    @wraps(read)
    def reader(path: Path, /, *args: Rest.args, **kwargs: Rest.kwargs) -> Found:
        try:
            return read(path, *args, **kwargs)
        except (OctavoError, OSError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 # libraries raise whatever a damaged file leads to
            said = " ".join(str(error).split())[:LONGEST].rstrip(".")
            raise ModelError(
                f"{path} cannot be read ({type(error).__name__}: {said}). It is damaged, or holds what Octavo does not "
                "know: make it again, or report it with the file."
            ) from None

    return reader
