"""Read artifacts whose place somebody may have changed in the database: MLflow raises ValueError for a bad place."""

from collections.abc import Iterator
from contextlib import contextmanager

from octavo.project.errors import ModelError


@contextmanager
def readable(what: str) -> Iterator[None]:
    """A block that only calls MLflow to read the artifacts of `what`.

    Raises:
        ModelError: MLflow cannot read from their place.
    """
    try:
        yield
    except ValueError as error:
        said = " ".join(str(error).split())[:200].rstrip(".")
        raise ModelError(
            f"MLflow can make nothing of the place where {what} lies ({said}): somebody changed it in MLflow's "
            "database. Put that back from a backup, then run the same command again."
        ) from error
