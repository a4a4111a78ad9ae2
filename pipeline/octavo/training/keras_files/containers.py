"""The files that Keras saves networks in: `.keras` is a zip archive, `.h5` is HDF5. Read only after checks."""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from octavo.project.errors import ModelError, OctavoError
from octavo.training.keras_files import configuration

PARTS = ("metadata.json", "config.json", "model.weights.h5")
"""Files of a `.keras` archive."""
LARGEST = 2**33
"""Bytes of all weights together, as they are in memory."""
AGAIN = "Save the network again."


@dataclass(frozen=True)
class Saved:
    """What is known of a network before it is built."""

    config: dict[str, Any]
    version: str
    """Of the Keras that saved it."""

    @property
    def is_keras_3(self) -> bool:
        return int(self.version.partition(".")[0]) > 2


def look_into(path: Path) -> Saved:
    """Check the file, and read the network's configuration.

    Raises:
        ModelError: it is not a Keras file, is damaged or too large, reads other files, or has a layer that is not
            built.
    """
    try:
        return (_archive if path.suffix == ".keras" else _hdf5)(path)
    except (OctavoError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - zip, its compressions, JSON and HDF5 raise whatever damage leads to
        said = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise ModelError(f"{path} is not a Keras file, or damaged: {said[:200].rstrip('.')}. {AGAIN}") from None


def several(path: Path, what: str, names: Sequence[str]) -> ModelError:
    """The error for a network that has not exactly one input or output.

    Args:
        path: of the file.
        what: `input` or `output`.
        names: of all that it has.
    """
    listed = ", ".join(names) or "none that is declared"
    return ModelError(
        f"{path} has {len(names)} {what}s ({listed}), and networks with one are accepted. Save one with a single "
        f"{what}."
    )


def weights(path: Path, folder: Path) -> Path:
    """The file with the weights of a network that `look_into` checked; from an archive, it is copied into `folder`."""
    if path.suffix != ".keras":
        return path
    target = folder / PARTS[2]
    with zipfile.ZipFile(path) as archive:
        target.write_bytes(archive.read(PARTS[2]))
    return target


def look_into_weights(path: Path) -> None:
    """Check a file of weights alone.

    Raises:
        ModelError: it is not HDF5, is damaged or too large, or reads other files.
    """
    try:
        check_weights(path, path)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        said = str(error)[:200].rstrip(".")
        raise ModelError(f"{path} is not a file of weights, or damaged: {said}. {AGAIN}") from None


def check_weights(file: BinaryIO | Path, path: Path) -> None:
    """Check that an HDF5 file holds its values itself, and how many bytes they take.

    Raises:
        ModelError: it takes values from another file, or they are too many.
        OSError: it is not HDF5.
    """
    with h5py.File(file, "r") as opened:
        _check_group(opened, path)


def _archive(path: Path) -> Saved:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if other := sorted(entries.keys() - {*PARTS}):
            raise ModelError(f"{path} has a file {other[0]}, and a network needs only {', '.join(PARTS)}. {AGAIN}")
        _require(sum(entry.file_size for entry in entries.values()), path)
        config = configuration.parsed(_content(archive, entries[PARTS[1]]), path)
        metadata = json.loads(_content(archive, entries[PARTS[0]]))
        check_weights(io.BytesIO(archive.read(entries[PARTS[2]])), path)
    return Saved(config, _version(metadata.get("keras_version") if isinstance(metadata, dict) else None, path))


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > configuration.LARGEST:
        raise ValueError(f"{entry.filename} has {entry.file_size:,} bytes")
    return archive.read(entry)


def _hdf5(path: Path) -> Saved:
    check_weights(path, path)
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise ModelError(
                f"{path} holds weights without a network. Save the whole network (model.save), or give the function "
                f"that builds it: brought: {{NAME: {{file: {path}, build: module:function}}}}."
            )
        config = configuration.parsed(file.attrs["model_config"], path)
        return Saved(config, _version(file.attrs.get("keras_version"), path))


def _version(found: object, path: Path) -> str:
    text = found.decode(errors="replace") if isinstance(found, bytes) else str(found)
    if not text.partition(".")[0].isdecimal():
        raise ModelError(f"{path} does not say which Keras saved it. Save it with Keras 2.2 or later.")
    return text


def _check_group(group: h5py.Group, path: Path) -> None:
    total = 0
    waiting, seen = [group], {h5py.h5o.get_info(group.id).addr}
    while waiting:
        each = waiting.pop()
        for name in each:
            link = each.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ModelError(f"{path} takes {name} from elsewhere, by a link, which is never followed. {AGAIN}")
            found = each[name]
            if isinstance(found, h5py.Group):
                address = h5py.h5o.get_info(found.id).addr
                waiting += [] if address in seen else [found]
                seen.add(address)
            elif isinstance(found, h5py.Dataset):
                if found.external or found.is_virtual:
                    raise ModelError(f"{path} takes {name} from another file, which is never read. {AGAIN}")
                total += found.nbytes
                _require(total, path)


def _require(size: int, path: Path) -> None:
    if size > LARGEST:
        raise ModelError(f"{path} holds {size:,} bytes; at most {LARGEST:,} are read. Bring the network as ONNX.")
