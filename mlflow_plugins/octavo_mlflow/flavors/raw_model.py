"""Open a model's file from MLflow directly: any ONNX or LiteRT model with one tensor in and one out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mlflow.artifacts import download_artifacts
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel

from octavo.backends.onnxruntime.session import open_session
from octavo.backends.predictor import Predictor
from octavo.project import extras
from octavo.project.errors import ModelError
from octavo_mlflow.flavors.image_input import Input
from octavo_mlflow.flavors.onnx_pyfunc import input_of

try:
    from octavo_mlflow.flavors import litert
except ModuleNotFoundError as fault:
    litert = extras.absent(fault)

FLAVORS = ("onnx", "litert")
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
        ModelError: it is not an ONNX or LiteRT file with one tensor in and one out.
    """
    path = _file(model)
    if path is None or path.suffix not in OPENERS:
        raise ModelError(f"Neither an ONNX nor a LiteRT file is behind this model ({model.loader_module}).")
    return _open(path, model.metadata, threads, encoding)


@contextmanager
def fetched(uri: str, threads: int = 1, encoding: str | None = None) -> Iterator[Opened]:
    """Open a model's file from any of MLflow's URIs for the length of the block. Code in the model's folder is not run.

    Args:
        uri: of the model.
        threads: of the runtime.
        encoding: `uint8` or `float32`, if the images are ambiguous.

    Raises:
        ModelError: it is not an ONNX or LiteRT file with one tensor in and one out.
        MlflowException: there is no such model.
    """
    with TemporaryDirectory() as target:
        folder = Path(download_artifacts(uri, dst_path=target)).resolve()
        metadata = Model.load(folder)
        named = next((str(metadata.flavors[name]["data"]) for name in FLAVORS if name in metadata.flavors), "")
        path = (folder / named).resolve()
        if path.suffix not in OPENERS or not path.is_relative_to(folder):
            raise ModelError(f"Neither an ONNX nor a LiteRT file is behind this model ({', '.join(metadata.flavors)}).")
        yield _open(path, metadata, threads, encoding)


def _open(path: Path, metadata: Model, threads: int, encoding: str | None) -> Opened:
    opened = OPENERS[path.suffix](path, threads)
    return replace(opened, encoding=encoding, takes=replace(opened.takes, shape=_shape(metadata, opened.takes)))


def _open_onnx(path: Path, threads: int) -> Opened:
    session = open_session(path, threads)
    if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
        raise ModelError(f"{path.name} has several inputs or outputs; a classifier of images has one each.")
    (source,), (target,) = session.get_inputs(), session.get_outputs()

    def run(images: np.ndarray) -> np.ndarray:
        return np.asarray(session.run([target.name], {source.name: images})[0])

    try:
        takes = input_of(source)
    except TypeError:
        raise ModelError(f"{path.name} takes {source.type}, not numbers.") from None
    batch = takes.shape[0] if takes.shape and takes.shape[0] > 0 else None
    return Opened(run=run, path=path, takes=replace(takes, shape=(-1, *takes.shape[1:])), batch=batch)


def _open_litert(path: Path, threads: int) -> Opened:
    try:
        model = litert.LiteRTModel(path, threads)
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT cannot load {path.name}: {error}") from None
    declared = int(model.get_raw_model().get_input_details()[0]["shape_signature"][0])
    return Opened(run=model.run, path=path, takes=model.takes, batch=declared if declared > 0 else None)


OPENERS: dict[str, Callable[[Path, int], Opened]] = {".onnx": _open_onnx, ".tflite": _open_litert}


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
