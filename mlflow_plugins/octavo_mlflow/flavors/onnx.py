"""ONNX files in MLflow's own `onnx` flavor, byte for byte, with a pyfunc that answers as Octavo's runtime does.

`mlflow.onnx.log_model` rewrites the model, splits its weights into a second file, and lets pyfunc use any available
provider without the session options that the file asks for. Here the measured bytes are kept, the options are written
to the `MLmodel`, and pyfunc accepts images in either encoding. Exact sums, which some CPUs need, are not an option of
the file: pyfunc decides when it opens the file. `mlflow.onnx.load_model` works as before.
"""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow.onnx
import numpy as np
import onnx
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME, ModelInfo
from mlflow.types import TensorSpec

from octavo.backends import model_files
from octavo.backends.onnxruntime.session import open_session
from octavo.onnx_graph import file_io, session_options
from octavo.project.errors import ModelError
from octavo_mlflow.flavors import bundled_code, image_pyfunc
from octavo_mlflow.flavors import onnx_pyfunc as runner
from octavo_mlflow.flavors.image_input import Input, Steps
from octavo_mlflow.flavors.image_pyfunc import ImageModel

PROVIDERS = ["CPUExecutionProvider"]
DATA = "model.onnx"
"""The file name that `mlflow.onnx` expects."""


def signature_of(onnx_model: Path | str) -> ModelSignature:
    """One tensor in and one out, as the file declares them; -1 for a free dimension.

    Raises:
        ModelError: it is not an ONNX file with one input and one output, or some of its weights are outside its folder.
    """
    model = file_io.load(Path(onnx_model), external=False)
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    sources = [value for value in graph.input if value.name not in stored]
    if len(sources) != 1 or len(graph.output) != 1:
        raise ModelError(
            f"{onnx_model} has {len(sources)} inputs and {len(graph.output)} outputs; a model of images has one each. "
            "Log others with mlflow.onnx."
        )
    source, target = _tensor(sources[0]), _tensor(graph.output[0])
    steps = Steps.of({item.key: item.value for item in model.metadata_props})
    return image_pyfunc.signature(Input(source.type, steps.stored(source.shape)), target)


def open_file(onnx_model: Path | str, threads: int = 1) -> ImageModel:
    """The file opened, with the session options that it asks for.

    Raises:
        ModelError: onnxruntime cannot load it, or it is no file of one tensor in and one out.
    """
    path = Path(onnx_model)
    session = open_session(path, threads)
    if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
        raise ModelError(f"{path.name} has several inputs or outputs; a classifier of images has one each.")
    (source,), (target,) = session.get_inputs(), session.get_outputs()

    def run(images: np.ndarray) -> np.ndarray:
        return np.asarray(session.run([target.name], {source.name: images})[0])

    try:
        takes = runner.input_of(source, Steps.of(session.get_modelmeta().custom_metadata_map))
    except TypeError:
        raise ModelError(f"{path.name} takes {source.type}, and no numbers.") from None
    batch = takes.shape[0] if takes.shape and takes.shape[0] > 0 else None
    return ImageModel(replace(takes, shape=(-1, *takes.shape[1:])), run, batch)


def get_default_pip_requirements() -> list[str]:
    """What a model of this flavor needs in addition to MLflow."""
    return list(mlflow.onnx.get_default_pip_requirements())


def get_default_conda_env() -> dict[str, Any]:
    """The Conda environment with `get_default_pip_requirements`."""
    return dict(mlflow.onnx.get_default_conda_env())


def save_model(
    onnx_model: Path | str,
    path: Path | str,
    *,
    mlflow_model: Model | None = None,
    signature: ModelSignature | None = None,
    code_paths: list[str] | None = None,
    conda_env: dict[str, Any] | str | None = None,
    pip_requirements: list[str] | str | None = None,
    extra_pip_requirements: list[str] | str | None = None,
    onnx_session_options: dict[str, Any] | None = None,
    **options: Any,
) -> None:
    """Save the file `onnx_model`, byte for byte, with its external data, as an MLflow model in the new folder `path`.

    Args:
        onnx_model: path of the `.onnx` file.
        path: of the new folder.
        mlflow_model: the model to complete; a new one by default.
        signature: by default, from the tensors that the file declares.
        code_paths, conda_env, pip_requirements, extra_pip_requirements: as in `mlflow.onnx.save_model`.
        onnx_session_options: by default one thread, and the options that the file's metadata ask for.
        **options: further arguments of `mlflow.onnx.save_model`, such as `input_example` and `metadata`.

    Raises:
        ModelError: it is not an ONNX file with one input and one output, or some of its weights are outside its folder.
        MlflowException: `path` is not empty, or the arguments contradict each other.
    """
    file = Path(onnx_model)
    declared = signature_of(file)
    proto = file_io.load(file, external=False)
    model = mlflow_model or Model()
    with TemporaryDirectory() as folder:
        mlflow.onnx.save_model(
            proto,
            str(path),
            mlflow_model=model,
            signature=signature or declared,
            code_paths=[*(code_paths or []), bundled_code.copy(Path(folder))],
            conda_env=conda_env,
            onnx_execution_providers=PROVIDERS,
            onnx_session_options=onnx_session_options or _session_options(proto),
            save_as_external_data=False,
            **bundled_code.requirements(
                get_default_pip_requirements(), conda_env, pip_requirements, extra_pip_requirements
            ),
            **options,
        )
    _put_bytes(file, Path(path))
    model.flavors["python_function"]["loader_module"] = runner.__name__
    model.model_size_bytes = sum(each.stat().st_size for each in Path(path).rglob("*") if each.is_file())
    model.save(str(Path(path, MLMODEL_FILE_NAME)))


def log_model(onnx_model: Path | str, name: str, **options: Any) -> ModelInfo:
    """Log the file `onnx_model` as the logged model `name` of the active run.

    Args:
        onnx_model: path of the `.onnx` file.
        name: of the logged model.
        **options: arguments of `save_model` and of `mlflow.models.Model.log`, such as `registered_model_name`.

    Raises:
        ModelError, MlflowException: as `save_model`.
    """
    info: ModelInfo = Model.log(
        artifact_path=None, name=name, flavor=sys.modules[__name__], onnx_model=str(onnx_model), **options
    )
    return info


def _put_bytes(file: Path, folder: Path) -> None:
    """Replace the model that MLflow wrote by the measured file and its external data."""
    shutil.copyfile(file, folder / DATA)
    for beside in model_files.beside(file):
        target = folder / beside.relative_to(file.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(beside, target)


def _session_options(proto: onnx.ModelProto) -> dict[str, Any]:
    """The options of the measurements: one thread, and what the file's metadata ask for."""
    asked = session_options.asked({item.key: item.value for item in proto.metadata_props})
    return {"intra_op_num_threads": 1, "inter_op_num_threads": 1, "extra_session_config": asked}


def _tensor(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else -1 for size in tensor.shape.dim)
    return TensorSpec(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)), shape)
