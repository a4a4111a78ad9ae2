"""Model files in MLflow: logged by the flavor of their format, and held to the bytes that were measured."""

from collections.abc import Callable
from pathlib import Path

import mlflow
import mlflow.onnx
import numpy as np
import onnx
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from mlflow_plugins import litert, registered
from pipeline.errors import ModelError
from pipeline.scorecard import ModelFile, Scorecard


def log(card: Scorecard) -> str:
    """Log the model file of `card` in the active run; the logged model's id.

    Raises:
        ModelError: MLflow does not hold the bytes that were measured.
    """
    logged = LOGGERS[card.format](Path(card.model.path), card.variant)
    with registered.stored(mlflow.get_logged_model(logged).artifact_location, card.model):
        return logged


def check_local(model: ModelFile) -> None:
    """Hold the local file to the bytes that were measured.

    Raises:
        ModelError: it is missing or another one.
    """
    path = Path(model.path)
    if not path.is_file():
        raise ModelError(f"No model file {path}, yet it has a scorecard. Run dvc repro.")
    registered.check(path, model, str(path))


def _log_onnx(path: Path, name: str) -> str:
    """Through `mlflow.onnx`, which writes the model anew; where that changes bytes, the measured file replaces it."""
    proto = onnx.load(path)
    signature = _signature(proto.graph)
    info = mlflow.onnx.log_model(
        proto,
        name=name,
        signature=signature,
        input_example=_example(signature),
        pip_requirements=mlflow.onnx.get_default_pip_requirements(),
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )
    if proto.SerializeToString() != path.read_bytes():
        mlflow.MlflowClient().log_model_artifact(info.model_id, str(path))
    return str(info.model_id)


def _log_litert(path: Path, name: str) -> str:
    example = _example(litert.LiteRTModel(path).signature)
    return str(litert.log_model(path, name, input_example=example).model_id)


def _example(signature: ModelSignature) -> np.ndarray:
    """One black image: MLflow tries the model on it, and keeps it as the form of a request to a scoring server."""
    (tensor,) = signature.inputs.inputs
    return np.zeros((1, *tensor.shape[1:]), tensor.type)


LOGGERS: dict[str, Callable[[Path, str], str]] = {"onnx": _log_onnx, "litert": _log_litert}


def _signature(graph: onnx.GraphProto) -> ModelSignature:
    """Tensors without names, so that a plain array is a valid input; -1 where a dimension is free."""
    inputs, outputs = (Schema([_tensor(value) for value in values]) for values in (graph.input, graph.output))
    return ModelSignature(inputs=inputs, outputs=outputs)


def _tensor(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else -1 for size in tensor.shape.dim)
    return TensorSpec(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type), shape)
