"""Examples in NumPy's files: an .npz archive, one .npy file, or a folder of .npy files. Nothing is unpickled."""

import os
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from octavo.data import split_assignment
from octavo.data.sources.raw import NAMES, Array
from octavo.project.errors import DataError
from octavo.project.files import npy_file
from octavo.reporting.one_command.given.pool import Loaded, Places, Pool, Size

EXAMPLES = ("x", "images", "inputs", "data", "x_test", "arr_0")
"""Names of an array of examples, the preferred one first."""
LABELS = ("y", "labels", "targets", "y_test", "arr_1")
"""Likewise of their labels."""
MOST = 1_000_000
"""No model has more outputs."""


def read(path: Path) -> tuple[Pool, Pool | None]:
    """The examples in a file or folder, and the test split of an archive that has its own.

    Args:
        path: an .npz with `x` and, if there are labels, `y`, or with `x_train`, `y_train`, `x_test` and `y_test`; an
            .npy of examples; a folder with `x.npy` and perhaps `y.npy`, or with one .npy for each example.

    Raises:
        DataError: there are no such arrays, they hold something other than numbers, or they do not fit together.
    """
    if path.is_dir():
        return _folder(path), None
    if not zipfile.is_zipfile(path):
        return _pool(_mapped(path), None, path), None
    found = _archive(path)
    if set(NAMES) <= found.keys():
        train, test = ((found[f"x_{part}"], found[f"y_{part}"]) for part in ("train", "test"))
        return _pool(*train, path), _pool(*test, path)
    return _chosen(found, path), None


def _folder(folder: Path) -> Pool:
    files = sorted(path for path in folder.glob("*.npy") if not path.name.startswith("."))
    found = {path.stem: _mapped(path) for path in files}
    if any(name in found for name in EXAMPLES):
        return _chosen(found, folder)
    shapes = {array.shape: path for path, array in zip(files, found.values(), strict=True)}
    if len(shapes) > 1:
        (first, one), (second, other) = list(shapes.items())[:2]
        raise DataError(
            f"{one} has shape {first} and {other} {second}. Give one .npy for each example, all of one shape."
        )
    return _pool(np.stack(list(found.values())), None, folder)


def _chosen(found: Mapping[str, Array], path: Path) -> Pool:
    """The examples and labels among named arrays."""
    examples = next((name for name in EXAMPLES if name in found), None)
    if examples is None and len(found) == 1:
        (examples,) = found
    if examples is None:
        raise DataError(
            f"{path} has the arrays {', '.join(sorted(found)[:8]) or 'none'}. Call the examples x, and their labels y, "
            "if there are any: np.savez(path, x=images, y=labels)."
        )
    labels = next((found[name] for name in LABELS if name in found), None)
    return _pool(found[examples], labels, path)


def _pool(examples: Array, labels: Array | None, path: Path) -> Pool:
    if examples.ndim < 2 or not len(examples):
        raise DataError(f"The examples of {path} have shape {examples.shape}. Give one or more, as (N, …).")
    if examples.dtype.kind == "f":
        examples = _finite(examples, path)
    elif examples.dtype != np.uint8:
        raise DataError(f"The examples of {path} are {examples.dtype}. Give uint8 in 0..255, or float32.")
    return Pool(
        digests=split_assignment.image_digests(examples),
        load=partial(_load, examples),
        name=lambda place: f"example {place} of {path}",
        labels=None if labels is None else _checked(labels, len(examples), path),
    )


def _load(examples: Array, places: Places, _: Size | None) -> Loaded:
    return Loaded(examples[places], {})


def _finite(examples: Array, path: Path) -> Array:
    with np.errstate(over="ignore"):
        examples = examples.astype(np.float32)
    if bad := int((~np.isfinite(examples)).reshape(len(examples), -1).any(1).sum()):
        raise DataError(f"{bad:,} examples of {path} have values that are NaN or infinite. Repair or remove them.")
    return examples


def _checked(labels: Array, n: int, path: Path) -> npt.NDArray[np.int64]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise DataError(
            f"The labels of {path} are {labels.dtype} {labels.shape} for {n} examples. Give one integer for each."
        )
    if labels.min() < 0 or labels.max() >= MOST:
        raise DataError(
            f"The labels of {path} run from {labels.min()} to {labels.max()}. Give the index of an output, from 0."
        )
    return labels.astype(np.int64)


def _mapped(path: Path) -> Array:
    try:
        return npy_file.mapped(path)
    except (FileNotFoundError, npy_file.UnreadableArray) as error:
        raise DataError(f"{path} cannot be read: {error}. Write it with np.save, plain numbers only.") from None


def _archive(path: Path) -> dict[str, Array]:
    """All arrays of an archive, if they fit into this machine's memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        _require_room(path, size, memory)
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 # a damaged archive leads to many kinds of errors
        said = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read ({said}). Write it with np.savez, plain numbers only.") from None


def _require_room(path: Path, size: int, memory: int) -> None:
    if size > memory:
        raise DataError(f"{path} unpacks to {size:,} bytes, and this machine has {memory:,} of memory.")
