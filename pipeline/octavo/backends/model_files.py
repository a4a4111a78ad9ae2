"""The files that a model consists of, their bytes and their digest: one file, or ONNX with its external data."""

import hashlib
from pathlib import Path

from octavo.backends import registry
from octavo.backends.records import ModelFile
from octavo.project import paths
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write


def path_of(variant: str) -> Path:
    """The model file of one variant, for example `artifacts/models/onnx_fp32/model.onnx`.

    Raises:
        ModelError: its name begins with no known format.
    """
    return paths.model_folder(variant) / f"model{registry.named(variant.partition('_')[0]).suffix}"


def beside(path: Path) -> list[Path]:
    """The files beside the model file `path` that hold weights of it, be they there or not.

    Raises:
        ModelError: its format is unknown or its weights lie outside its folder, or it is damaged.
    """
    return registry.format_of(path).beside(path)


def parts(path: Path) -> list[Path]:
    """The model file and those beside it that hold weights of it.

    Raises:
        ModelError: as `beside`, or one of them is missing.
    """
    others = beside(path)
    for other in others:
        if not other.is_file():
            raise ModelError(f"{path} has weights in {other}, which is missing. Copy both files, or run dvc repro.")
    return [path, *others]


def size(path: Path) -> int:
    """Bytes of all files of the model. Raises as `parts`."""
    return sum(part.stat().st_size for part in parts(path))


def sha256(path: Path) -> str:
    """One digest of the whole model: its file's SHA-256, or where it has several files that of their list.

    The list is what `sha256sum` prints of them, in the order of `parts`, named from the model's folder. Raises as
    `parts`.
    """
    digests = {part: atomic_write.digest(part, "sha256") for part in parts(path)}
    if len(digests) == 1:
        return digests[path]
    lines = [f"{digest}  {part.relative_to(path.parent).as_posix()}\n" for part, digest in digests.items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def of(path: Path) -> ModelFile:
    """The model at `path` as it is now. Raises as `parts`."""
    return ModelFile(path=path.as_posix(), sha256=sha256(path))
