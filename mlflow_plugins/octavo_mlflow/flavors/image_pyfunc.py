"""What MLflow's pyfunc asks of a model of images, whatever its format. Travels with the models that are saved."""

from collections.abc import Callable
from typing import Any

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from octavo_mlflow.flavors.image_input import Input

ENCODING = "dtype"
"""The parameter of a request that says how its images are encoded."""


class ImageModel:
    """One tensor of images in, one tensor out, in the order of the images."""

    def __init__(self, takes: Input, run: Callable[[np.ndarray], np.ndarray], batch: int | None = None) -> None:
        self.takes = takes
        self.run = run
        self.batch = batch
        """Images a call, where the file takes no other number."""

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> np.ndarray:
        """The output tensor for images in either encoding.

        Args:
            data: whatever `images.Input.take` makes an array of.
            params: `dtype`, the encoding, where the data do not tell.

        Raises:
            MlflowException: they are no images of this model's shape, the encoding is not clear, or an output is NaN or
                infinite: whoever takes the largest of such outputs gets a class that the model did not choose.
        """
        try:
            images = self.takes.take(data, (params or {}).get(ENCODING))
        except ValueError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        outputs = self.run(images)
        if np.issubdtype(outputs.dtype, np.floating):
            lost = int((~np.isfinite(outputs)).any(axis=tuple(range(1, outputs.ndim))).sum())
            if lost:
                raise MlflowException(
                    f"The model gives values that are NaN or infinite for {lost} of {len(images)} images."
                )
        return outputs


def signature(takes: Input, gives: TensorSpec) -> ModelSignature:
    """The tensors of the model file, without names, so that a plain array is a valid input, and the parameter `dtype`.

    MLflow's own enforcement knows one dtype a tensor, and would refuse the other encoding, or cast it. The signature
    is marked as one whose model validates what it gets by itself, as those made from type hints are, and it does.
    """
    made = ModelSignature(
        inputs=Schema([TensorSpec(takes.dtype, takes.shape)]),
        outputs=Schema([gives]),
        params=ParamSchema([ParamSpec(ENCODING, DataType.string, default=None)]),
    )
    made._is_signature_from_type_hint = True
    return made


def example(of: ModelSignature) -> tuple[np.ndarray, dict[str, str]]:
    """One black image in bytes: MLflow tries the model on it, and keeps it as the form of a request."""
    (tensor,) = of.inputs.inputs
    return np.zeros([max(size, 1) for size in tensor.shape], np.uint8), {ENCODING: "uint8"}
