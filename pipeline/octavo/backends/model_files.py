"""The files of a model, their size and their digest. A model is one file, or an ONNX file with its external data."""

import hashlib
from pathlib import Path

from octavo.backends import registry
from octavo.backends.records import ModelFile
from octavo.project import paths
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write


def path_of(variant: str) -> Path:
    """Path of a variant's model file, for example `artifacts/models/onnx_fp32/model.onnx`. It need not exist.

    Raises:
        ModelError: the variant's name does not begin with a known format.
    """
    return paths.model_folder(variant) / f"model{registry.named(variant.partition('_')[0]).suffix}"


def beside(path: Path) -> list[Path]:
    """The other files that hold weights of the model file `path`, whether or not they exist.

    Raises:
        ModelError: the format is unknown, the weights are outside the model's folder, or the file is damaged.
    """
    return registry.format_of(path).beside(path)


def parts(path: Path) -> list[Path]:
    """The model file, followed by the other files that hold its weights.

    Raises:
        ModelError: as `beside`, or a file with weights is missing.
    """
    others = beside(path)
    for other in others:
        if not other.is_file():
            raise ModelError(f"{path} has weights in {other}, which is missing. Copy both files, or run dvc repro.")
    return [path, *others]


def size(path: Path) -> int:
    """Total bytes of the model's files. Raises as `parts`."""
    return sum(part.stat().st_size for part in parts(path))


def sha256(path: Path) -> str:
    """One digest of the whole model, as 64 hexadecimal digits. Raises as `parts`.

    For one file it is the file's SHA-256. For several files it is the SHA-256 of the list that `sha256sum` prints for
    them, in the order of `parts`, with paths relative to the model's folder.
    """
    digests = {part: atomic_write.digest(part, "sha256") for part in parts(path)}
    if len(digests) == 1:
        return digests[path]
    lines = [f"{digest}  {part.relative_to(path.parent).as_posix()}\n" for part, digest in digests.items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def of(path: Path) -> ModelFile:
    """The path and present digest of the model at `path`. Raises as `parts`."""
    return ModelFile(path=path.as_posix(), sha256=sha256(path))
