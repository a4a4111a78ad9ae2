"""ONNX models behind `mlflow.pyfunc`. This file is saved with each model of `octavo_mlflow.flavors.onnx`."""

from pathlib import Path

import mlflow.onnx
import numpy as np
import onnxruntime

from octavo_mlflow.flavors import exact_sums
from octavo_mlflow.flavors.image_input import FLOAT32, Input, Steps
from octavo_mlflow.flavors.image_pyfunc import ImageModel


class OnnxModel(ImageModel):
    """One ONNX file, opened with the provider, threads and options of its `MLmodel`.

    Whether sums of integers must be made exact on this CPU is decided here, whatever the `MLmodel` says.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._session: onnxruntime.InferenceSession = exact_sums.decided(mlflow.onnx._load_pyfunc(path).rt, Path(path))
        (source,), (target,) = self._session.get_inputs(), self._session.get_outputs()

        def run(images: np.ndarray) -> np.ndarray:
            return np.asarray(self._session.run([target.name], {source.name: images})[0])

        steps = Steps.of(self._session.get_modelmeta().custom_metadata_map)
        super().__init__(input_of(source, steps), run)

    def get_raw_model(self) -> onnxruntime.InferenceSession:
        """The session, for `PyFuncModel.get_raw_model`."""
        return self._session


def input_of(tensor: onnxruntime.NodeArg, steps: Steps) -> Input:
    """The tensor that a session takes, and what is done to images before."""
    name = tensor.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else -1 for size in tensor.shape)
    dtype = FLOAT32 if name == "float" else np.dtype(name)  # "float" is float64 for NumPy
    return Input(dtype, steps.stored(shape), steps=steps)


def _load_pyfunc(path: str) -> OnnxModel:
    """Open the model file at `path`. `mlflow.pyfunc.load_model` calls this function."""
    return OnnxModel(path)
