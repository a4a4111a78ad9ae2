"""Copy single files of a model from MLflow: only such as are inside its folder, and not too large."""

import posixpath
from pathlib import Path, PurePosixPath

from mlflow.store.artifact.artifact_repo import ArtifactRepository

from octavo.project.errors import ModelError


def inside(path: object, what: str) -> str:
    """The path of a file inside the model's folder, as the model's description or its ONNX file gives it.

    Raises:
        ModelError: it is no path, or leads elsewhere.
    """
    parts = PurePosixPath(path).parts if isinstance(path, str) and path.isprintable() else ()
    if not parts or parts[0] == "/" or ".." in parts or set("\\%:") & set(str(path)):
        raise ModelError(
            f"The model in {what} names the file {str(path)[:80]!a}; allowed are files inside its folder. Do not trust "
            "such a model from others; register one of your own again."
        )
    return "/".join(parts)


def copied(repository: ArtifactRepository, path: str, folder: Path, largest: int, what: str) -> Path:
    """Copy one file of a model into `folder`, at the same relative path. Its size is checked first.

    Args:
        repository: of the model's folder.
        path: of the file in it.
        folder: for the copy.
        largest: limit for its bytes.
        what: the model in words, for messages.

    Raises:
        ModelError: there is no such file, or it is larger.
    """
    found = sizes(repository, posixpath.dirname(path))
    if path not in found:
        raise ModelError(
            f"MLflow has no file {path} of {what}: it was deleted, or is on another machine. Register the model again."
        )
    _require(found[path] or 0, largest, path, what)
    repository.download_artifacts(path, dst_path=str(folder))
    _require((folder / path).stat().st_size, largest, path, what)
    return folder / path


def sizes(repository: ArtifactRepository, folder: str) -> dict[str, int | None]:
    """The files in a folder of a model, and their bytes, where MLflow tells them."""
    return {each.path: each.file_size for each in repository.list_artifacts(folder or None) if not each.is_dir}


def _require(size: int, largest: int, path: str, what: str) -> None:
    if size > largest:
        raise ModelError(
            f"The file {path} of {what} has {size:,} bytes, allowed are {largest:,}. Check that it is the network's."
        )
