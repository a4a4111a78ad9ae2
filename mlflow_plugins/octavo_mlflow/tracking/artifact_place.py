"""Where artifacts lie: MLflow raises ValueError where somebody changed a place into one that it can make nothing of."""

from collections.abc import Iterator
from contextlib import contextmanager

from octavo.project.errors import ModelError


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Calls of MLflow that read the artifacts of `what`, and nothing else.

    Raises:
        ModelError: their place is none that MLflow can read from.
    """
    try:
        yield
    except ValueError as error:
        said = " ".join(str(error).split())[:200].rstrip(".")
        raise ModelError(
            f"MLflow can make nothing of the place where {what} lies ({said}): somebody changed it in MLflow's "
            "database. Put that back from a backup, then run the same command again."
        ) from error
