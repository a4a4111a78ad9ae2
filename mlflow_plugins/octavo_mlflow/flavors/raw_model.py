"""Open a model's file from MLflow directly: any model of a known format with one tensor in and one out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mlflow.artifacts import download_artifacts
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel

from octavo.backends import registry
from octavo.backends.predictor import Predictor
from octavo.project.errors import ModelError
from octavo_mlflow.flavors.flavor import flavor_of
from octavo_mlflow.flavors.image_input import Input

BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Opened(Predictor):
    """A predictor over images in either encoding, flattened or not."""

    path: Path
    takes: Input
    batch: int | None = None
    """Images per call, if the file accepts no other number."""
    encoding: str | None = None
    """Of the images, if they are ambiguous."""

    def feed(self, images: np.ndarray) -> np.ndarray:
        """The model's input tensor for these images.

        Raises:
            ModelError: the images do not fit the model.
        """
        try:
            return self.takes.take(images, self.encoding)
        except ValueError as error:
            raise ModelError(f"{self.path.name}: {error}") from None

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Scores (N, classes), one row per image.

        Raises:
            ModelError: the images do not fit the model, or it does not return one row for each.
        """
        answers = np.concatenate(list(self._answers(self.feed(images))))
        if answers.ndim < 2 or len(answers) != len(images) or np.prod(answers.shape[1:]) < 2:
            raise ModelError(f"{self.path.name} answers with shape {answers.shape}, a classifier with (N, classes).")
        return answers.reshape(len(images), -1)

    def _answers(self, images: np.ndarray) -> Iterator[np.ndarray]:
        size = self.batch or BATCH
        for start in range(0, len(images), size):
            part = images[start : start + size]
            full = np.resize(part, (size, *part.shape[1:])) if self.batch else part
            yield self.run(full)[: len(part)]


def open_raw(model: PyFuncModel, threads: int = 1, encoding: str | None = None) -> Opened:
    """Open the file that `model` was loaded from, with the session options that it asks for.

    Args:
        model: loaded by `mlflow.pyfunc`.
        threads: of the runtime.
        encoding: `uint8` or `float32`, if the images are ambiguous.

    Raises:
        ModelError: it is not a file of a known format with one tensor in and one out.
    """
    path = _require_format(_file(model), str(model.loader_module))
    return _open(path, model.metadata, threads, encoding)


@contextmanager
def fetched(uri: str, threads: int = 1, encoding: str | None = None) -> Iterator[Opened]:
    """Open a model's file from any of MLflow's URIs for the length of the block. Code in the model's folder is not run.

    Args:
        uri: of the model.
        threads: of the runtime.
        encoding: `uint8` or `float32`, if the images are ambiguous.

    Raises:
        ModelError: it is not a file of a known format with one tensor in and one out.
        MlflowException: there is no such model.
    """
    with TemporaryDirectory() as target:
        folder = Path(download_artifacts(uri, dst_path=target)).resolve()
        metadata = Model.load(folder)
        path = (folder / _named(metadata)).resolve()
        inside = path if path.is_relative_to(folder) else None
        path = _require_format(inside, ", ".join(metadata.flavors))
        yield _open(path, metadata, threads, encoding)


def _named(metadata: Model) -> str:
    """Where in the model's folder its flavor keeps the file; nothing where it has none of ours."""
    found = (metadata.flavors[name] for name in registry.formats() if name in metadata.flavors)
    return next((str(flavor["data"]) for flavor in found), "")


def _require_format(path: Path | None, behind: str) -> Path:
    """The path, where it is one of a known format."""
    try:
        registry.format_of(path or Path())
    except ModelError:
        titles = " or ".join(form.title for form in registry.formats().values())
        raise ModelError(f"No {titles} file is behind this model ({behind}).") from None
    assert path
    return path


def _open(path: Path, metadata: Model, threads: int, encoding: str | None) -> Opened:
    try:
        model = flavor_of(path).open_file(path, threads)
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{registry.format_of(path).title} cannot load {path.name}: {error}") from None
    takes = replace(model.takes, shape=_shape(metadata, model.takes))
    return Opened(run=model.run, path=path, takes=takes, batch=model.batch, encoding=encoding)


def _file(model: PyFuncModel) -> Path | None:
    """The file that pyfunc opened. Octavo's classes name it; for `mlflow.onnx` the session does."""
    opened = getattr(model, "_model_impl", None)
    found = getattr(opened, "path", None) or getattr(getattr(opened, "rt", None), "_model_path", None)
    return Path(found) if found else None


def _shape(metadata: Model, takes: Input) -> tuple[int, ...]:
    """The file's shape; where the file leaves it open, that of the model's signature."""
    schema = metadata.get_input_schema()
    if (takes.shape and -1 not in takes.shape[1:]) or schema is None or not schema.is_tensor_spec():
        return takes.shape
    return (-1, *schema.inputs[0].shape[1:])
