"""A user's own arrays."""

from pathlib import Path

from pipeline.errors import DataError
from pipeline.sources.raw import NAMES, Raw, read_npz, train_and_test


def read(path: Path) -> Raw:
    """A user's archive with `x_train`, `y_train`, `x_test` and `y_test`, as it is.

    Raises:
        DataError: no such file, not a whole npz, a missing array, or pickled objects.
    """
    if not path.is_file():
        raise DataError(f"No file {path}. data.path is an npz archive with {', '.join(NAMES)}.")
    remedy = f"Write it with np.savez: {', '.join(NAMES)}, plain arrays only, no Python objects."
    return train_and_test(read_npz(path, remedy))
