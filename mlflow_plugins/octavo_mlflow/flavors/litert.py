"""The LiteRT model flavor: `.tflite` files in MLflow, by MLflow's own conventions.

A model is stored as its bytes, and nothing is pickled. MLflow's code paths save this file with each model, so that
`mlflow.pyfunc.load_model` and `mlflow models serve` work where Octavo is not installed. It imports no more of Octavo
than is saved.
"""

import sys
import threading
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from mlflow import pyfunc
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import TensorSpec
from mlflow.utils.environment import _mlflow_conda_env

from octavo_mlflow.flavors import bundled_code, image_pyfunc, tensors
from octavo_mlflow.flavors.image_input import Input, Steps
from octavo_mlflow.flavors.image_pyfunc import ImageModel

FLAVOR_NAME = "litert"
EIGHT_BITS = (np.dtype(np.int8), np.dtype(np.uint8))


class LiteRTModel(ImageModel):
    """One LiteRT file, opened on one CPU thread by default. Its batch size follows the data.

    8-bit integer outputs are converted to the float32 numbers that they represent.

    Raises:
        ValueError, RuntimeError: it is not a LiteRT file, has several inputs or outputs, or has integer inputs or
            outputs without a scale.
    """

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        self.path = str(path)
        self._interpreter = Interpreter(model_path=self.path, num_threads=threads)
        sources, targets = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(sources) != 1 or len(targets) != 1:
            raise ValueError(f"it has {len(sources)} inputs and {len(targets)} outputs, a model of images one each")
        (self._input,), (self._output,) = sources, targets
        self._scale, self._zero = _real(self._output)
        self._shape: tuple[int, ...] = ()
        self._turn = threading.Lock()  # an interpreter holds the tensors of one call; a server has many threads
        declared = int(self._input["shape_signature"][0])
        takes = input_of(self._input, Steps.of(tensors.metadata(Path(path))))
        super().__init__(takes, self._invoke, declared if declared > 0 else None)

    @property
    def signature(self) -> ModelSignature:
        given = self._output["dtype"] if self._scale is None else np.float32
        return image_pyfunc.signature(self.takes, TensorSpec(np.dtype(given), _shape(self._output)))

    def get_raw_model(self) -> Interpreter:
        """The interpreter, for `PyFuncModel.get_raw_model`."""
        return self._interpreter

    def _invoke(self, images: np.ndarray) -> np.ndarray:
        with self._turn:
            if images.shape != self._shape:
                self._shape = ()  # if the new shape fails, the interpreter cannot run the old one either
                self._interpreter.resize_tensor_input(self._input["index"], images.shape)
                self._interpreter.allocate_tensors()
                self._shape = images.shape
            self._interpreter.set_tensor(self._input["index"], images)
            self._interpreter.invoke()
            found = np.asarray(self._interpreter.get_tensor(self._output["index"]))
            return found if self._scale is None else (found.astype(np.float32) - self._zero) * self._scale


def open_file(litert_model: Path | str, threads: int = 1) -> LiteRTModel:
    """The file opened. Raises as `LiteRTModel`."""
    return LiteRTModel(litert_model, threads)


def input_of(tensor: Mapping[str, Any], steps: Steps) -> Input:
    """The tensor that an interpreter takes, and what is done to images before. 8-bit integers other than pixels have a
    scale.

    Args:
        tensor: details of the input, from the interpreter.
        steps: as the file's metadata declare them.

    Raises:
        ValueError: they have no scale, or several.
    """
    scale, zero = tensor["quantization"]
    dtype, shape = np.dtype(tensor["dtype"]), steps.stored(_shape(tensor))
    if dtype not in EIGHT_BITS or (dtype == np.uint8 and not scale):
        return Input(dtype, shape, steps=steps)
    _real(tensor)
    return Input(dtype, shape, float(scale), int(zero), steps)


def _real(tensor: Mapping[str, Any]) -> tuple[np.float32 | None, np.float32]:
    """Scale and zero point of 8-bit integers; None and 0 for any other type."""
    scale, zero = tensor["quantization"]
    if np.dtype(tensor["dtype"]) not in EIGHT_BITS:
        return None, np.float32(0)
    if not scale:
        raise ValueError(f"its {np.dtype(tensor['dtype'])} tensor has no single scale, so its numbers have no meaning")
    return np.float32(scale), np.float32(zero)


def _shape(tensor: Mapping[str, Any]) -> tuple[int, ...]:
    return (-1, *(int(size) for size in tensor["shape_signature"][1:]))


def signature_of(litert_model: Path | str) -> ModelSignature:
    """One tensor in and one out, as the file declares them. The first dimension is the batch.

    Raises:
        MlflowException: it is not a LiteRT file with one input and one output.
    """
    try:
        return LiteRTModel(litert_model).signature
    except (ValueError, RuntimeError) as error:
        raise MlflowException.invalid_parameter_value(f"{litert_model} is not a LiteRT model: {error}") from error


def get_default_pip_requirements() -> list[str]:
    """What a model of this flavor needs in addition to MLflow."""
    return [f"{package}=={version(package)}" for package in ("ai-edge-litert", "numpy")]


def get_default_conda_env() -> dict[str, Any]:
    """The Conda environment with `get_default_pip_requirements`."""
    return dict(_mlflow_conda_env(additional_pip_deps=get_default_pip_requirements()))


def save_model(
    litert_model: Path | str,
    path: Path | str,
    *,
    mlflow_model: Model | None = None,
    signature: ModelSignature | None = None,
    code_paths: list[str] | None = None,
    conda_env: dict[str, Any] | str | None = None,
    pip_requirements: list[str] | str | None = None,
    extra_pip_requirements: list[str] | str | None = None,
    **options: Any,
) -> None:
    """Save the file `litert_model`, byte for byte, as an MLflow model in the new folder `path`.

    Args:
        litert_model: path of the `.tflite` file.
        path: of the new folder.
        mlflow_model: the model to complete; a new one by default.
        signature: by default, from the tensors that the file declares.
        code_paths, conda_env, pip_requirements, extra_pip_requirements: as in `mlflow.pyfunc.save_model`.
        **options: further arguments of `mlflow.pyfunc.save_model`, such as `input_example` and `metadata`.

    Raises:
        MlflowException: `litert_model` is not a LiteRT file, `path` is not empty, or the arguments contradict each
            other.
    """
    declared = signature_of(litert_model)
    model = mlflow_model or Model()
    model.signature = signature or declared
    model.add_flavor(
        FLAVOR_NAME, litert_version=version("ai-edge-litert"), data=f"data/{Path(litert_model).name}", code="code"
    )
    with TemporaryDirectory() as folder:
        pyfunc.save_model(
            str(path),
            loader_module=__name__,
            data_path=str(litert_model),
            code_paths=[*(code_paths or []), bundled_code.copy(Path(folder))],
            conda_env=conda_env,
            mlflow_model=model,
            **bundled_code.requirements(
                get_default_pip_requirements(), conda_env, pip_requirements, extra_pip_requirements
            ),
            **options,
        )


def log_model(litert_model: Path | str, name: str, **options: Any) -> ModelInfo:
    """Log the file `litert_model` as the logged model `name` of the active run.

    Args:
        litert_model: path of the `.tflite` file.
        name: of the logged model.
        **options: arguments of `save_model` and of `mlflow.models.Model.log`, such as `registered_model_name`.

    Raises:
        MlflowException: as `save_model`.
    """
    info: ModelInfo = Model.log(
        artifact_path=None, name=name, flavor=sys.modules[__name__], litert_model=str(litert_model), **options
    )
    return info


def load_model(model_uri: str, dst_path: str | None = None) -> LiteRTModel:
    """Open a model of this flavor from any of MLflow's URIs, such as `models:/octavo@champion`.

    Raises:
        MlflowException: there is no such model, or it has no LiteRT flavor.
    """
    folder = download_artifacts(model_uri, dst_path=dst_path)
    flavors = Model.load(folder).flavors
    if FLAVOR_NAME not in flavors:
        raise MlflowException.invalid_parameter_value(
            f"{model_uri} is not a LiteRT model. Its flavors: {', '.join(flavors)}."
        )
    return LiteRTModel(Path(folder, flavors[FLAVOR_NAME]["data"]))


def _load_pyfunc(path: str) -> LiteRTModel:
    """Open the model file at `path`. `mlflow.pyfunc.load_model` calls this function."""
    return LiteRTModel(path)
