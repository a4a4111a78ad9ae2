"""MLflow's pyfunc interface for a model of images in any format. This file is saved with each model."""

from collections.abc import Callable
from typing import Any

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from octavo_mlflow.flavors.image_input import Input

ENCODING = "dtype"
"""The request parameter that names the encoding of the images."""


class ImageModel:
    """A model with one tensor of images in and one tensor out, in the order of the images."""

    def __init__(self, takes: Input, run: Callable[[np.ndarray], np.ndarray], batch: int | None = None) -> None:
        self.takes = takes
        self.run = run
        self.batch = batch
        """Images a call, where the file takes no other number."""

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> np.ndarray:
        """The output tensor for images in either encoding.

        Args:
            data: whatever `image_input.Input.take` accepts.
            params: `dtype`, the encoding, if the data are ambiguous.

        Raises:
            MlflowException: the images have another shape than the model's, their encoding is ambiguous, or an output
                is NaN or infinite. The largest of such outputs would be a class that the model did not choose.
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
    """The signature of a model file: its tensors without names, so that a plain array is valid, and the parameter
    `dtype`.

    MLflow's own check knows one dtype per tensor, and would refuse or cast the other encoding. Therefore the signature
    is
    marked like one made from type hints: as one whose model validates its input itself, which it does.
    """
    made = ModelSignature(
        inputs=Schema([TensorSpec(takes.dtype, takes.shape)]),
        outputs=Schema([gives]),
        params=ParamSchema([ParamSpec(ENCODING, DataType.string, default=None)]),
    )
    made._is_signature_from_type_hint = True
    return made


def example(of: ModelSignature) -> tuple[np.ndarray, dict[str, str]]:
    """One black image in bytes. MLflow tries the model with it, and stores it as an example of a request."""
    (tensor,) = of.inputs.inputs
    return np.zeros([max(size, 1) for size in tensor.shape], np.uint8), {ENCODING: "uint8"}
