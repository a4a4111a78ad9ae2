"""Recognize the data that a user names, and write the section `data` for them."""

import os
import statistics
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from PIL import Image

from octavo.project.errors import ParamsError, did_you_mean
from octavo.project.params.data import HOME, IMAGE_SUFFIXES, Data
from octavo.project.params.section import FUNCTION
from octavo.project.setting_up import trial

SOURCES: tuple[str, ...] = get_args(Data.model_fields["source"].annotation)
BUNDLED = ("digits", "mnist", "fashion_mnist")
"""Sources that read no path of the user."""
TABLES = {".npz": "npz", ".csv": "csv", ".parquet": "parquet"}
LOOKED_AT = 200
"""Number of images whose size is looked at."""
LARGEST_SIDE = 224
ALLOWED = (
    f"{', '.join(BUNDLED)}; the path of an .npz archive, a folder of .npy arrays, a .csv or .parquet table, or a "
    "folder with one folder of images per class; or module:function that yields (example, label)"
)
CALIBRATION = Data.model_fields["calibration"].default


def section(given: str, project: Path, root: Path) -> dict[str, Any]:
    """The section `data` for what a user named: source, path or generator, calibration, and the image size if the
    images' sizes differ. `seen` is what was seen of the data, or None.

    Args:
        given: a source that reads no path; a path, relative to the working directory; or `module:function`.
        project: the folder of `params.yaml`. Paths in the repository become relative to it.
        root: of the repository.

    Raises:
        ParamsError: there is no such path, or it holds no data that a source reads.
        DataError: the source refuses the data.
    """
    path = Path(given).expanduser()
    if given in BUNDLED:
        return {"source": given, "path": str(HOME), "calibration": CALIBRATION, "seen": None}
    if FUNCTION.fullmatch(given) and not path.exists():
        trial.function(given, f"Generator '{given}'", project, root)
        return {"source": "generator", "path": str(HOME), "generator": given, "calibration": CALIBRATION, "seen": None}
    if not path.exists():
        near = did_you_mean(given, BUNDLED)
        raise ParamsError(f"Data '{given}': there is no such file or folder here.{near} Allowed: {ALLOWED}.")
    try:
        source = _source(path)
    except OSError as error:
        raise ParamsError(
            f"Data '{given}' cannot be read: {error.strerror}. Make it readable, or name other data."
        ) from None
    if source not in SOURCES:
        raise ParamsError(f"Data '{given}': no source reads it. Allowed: {ALLOWED}.")
    size = _size(path) if source == "images" else None
    seen = trial.data(Data.model_validate({"source": source, "path": path.resolve(), "image_size": size}))
    known = seen.train if seen and seen.train else CALIBRATION
    found = {"source": source, "path": written(path.resolve(), project, root), "seen": seen}
    return found | {"calibration": min(CALIBRATION, known)} | ({"image_size": size} if size else {})


def _source(path: Path) -> str | None:
    if path.is_file():
        return TABLES.get(path.suffix.lower())
    if not path.is_dir():
        return None
    names = {each.name for each in path.iterdir()}
    tables = {TABLES[suffix] for name in names if (suffix := Path(name).suffix.lower()) in (".csv", ".parquet")}
    if {"x_train.npy", "images.npy"} & names:
        return "npy"
    if len(tables) == 1:
        return tables.pop()
    return "images" if any(_images(path)) else None


def _images(folder: Path) -> Iterator[Path]:
    """The images in folders below `folder`, spread over the folders, because one class can be larger than the look."""
    for inside, folders, names in os.walk(folder):
        folders.sort()
        if Path(inside) != folder:
            images = (name for name in sorted(names) if name.lower().endswith(IMAGE_SUFFIXES))
            yield from (Path(inside, name) for name in islice(images, 20))


def _size(folder: Path) -> list[int] | None:
    """Height and width to resize to, or None if all sizes are equal: the medians, and at most 224 pixels."""
    sizes = []
    for path in islice(_images(folder), LOOKED_AT):
        try:
            with Image.open(path) as image:
                sizes.append((image.height, image.width))
        except (OSError, ValueError, Image.DecompressionBombError):  # `prepare` reports it
            continue
    if len(set(sizes)) < 2:
        return None
    return [min(LARGEST_SIDE, int(statistics.median(side))) for side in zip(*sizes, strict=True)]


def written(path: Path, project: Path, root: Path) -> str:
    """A path as `params.yaml` has it: relative to the project if it is in the repository, otherwise absolute.

    Args:
        path: absolute.
        project: the folder of `params.yaml`.
        root: of the repository.
    """
    return os.path.relpath(path, project) if path.is_relative_to(root) else str(path)
