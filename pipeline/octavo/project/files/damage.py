"""Turn every exception that a damaged model file causes into an error that names the file."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from octavo.project.errors import ModelError, OctavoError

LONGEST = 200
"""Limit for the characters of a library's message that are repeated."""

Rest = ParamSpec("Rest")
Found = TypeVar("Found")


def told(read: Callable[Concatenate[Path, Rest], Found]) -> Callable[Concatenate[Path, Rest], Found]:
    """Decorate a reader of model files, so that a damaged file causes an `OctavoError` instead of any Python exception.

    Octavo's own errors pass, and so do errors that no file causes, such as a lack of memory or disk space.

    Raises:
        ModelError: for any other exception. The message names the file.
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
                f"{path} cannot be read ({type(error).__name__}: {said}). It is damaged, or holds something unknown to "
                "Octavo: make it again, or report it with the file."
            ) from None

    return reader
