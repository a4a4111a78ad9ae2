"""A user's folder of arrays in NumPy's format. They are mapped, so they may be larger than memory."""

from pathlib import Path

from octavo.data.sources.raw import LAYOUTS, SMALL, Raw, layout_of, train_and_test
from octavo.project.errors import DataError
from octavo.project.files import npy_file

SUFFIX = ".npy"


def read(folder: Path, most: int | None = None) -> Raw:
    """Read `x_train.npy` and `y_train.npy`, with `x_test.npy` and `y_test.npy` if there are any; or `images.npy` and
    `labels.npy`.

    Args:
        folder: with the files.
        most: rows of each array that are taken if the arrays are not small. None: all.

    Raises:
        DataError: the folder or an array is missing, or a file is not a complete array of numbers.
    """
    wanted = " or ".join(", ".join(f"{name}{SUFFIX}" for name in names) for names in LAYOUTS)
    if not folder.is_dir():
        raise DataError(f"No folder {folder}. data.path is a folder with {wanted}.")
    found = {path.stem for path in folder.iterdir() if path.suffix == SUFFIX}
    names = layout_of(found)
    if missing := [name for name in names if name not in found]:
        others = ", ".join(sorted(found)[:8]) or "nothing"
        raise DataError(f"{folder} has no {', '.join(missing)} (it has {others}). Save {wanted}, with np.save.")
    try:
        arrays = {name: npy_file.mapped(folder / f"{name}{SUFFIX}") for name in names}
    except (npy_file.UnreadableArray, OSError) as error:
        raise DataError(f"{folder}: {error}. Write it with np.save: plain numbers only, no Python objects.") from None
    whole = most is None or sum(array.nbytes for array in arrays.values()) <= SMALL
    return train_and_test(arrays if whole else {name: array[:most] for name, array in arrays.items()}, whole=whole)
