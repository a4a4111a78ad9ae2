"""What MLflow asks for the files behind `models:/…`: Octavo's versions are handed out only as they were registered.

So `mlflow.pyfunc.load_model`, `mlflow models serve` and all others that load a version by its name get no changed file,
and run no code that was put beside a model, wherever Octavo is installed. Other models are handed out as ever.

MLflow loads this module while it is itself being imported, so what it takes to check comes in when it is needed.
"""

import shutil
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

from octavo.project.errors import OctavoError
from octavo_mlflow.registry.tags import FOLDER


class ModelArtifacts(ModelsArtifactRepository):
    """The files of one version, or of one logged model."""

    def download_artifacts(
        self, artifact_path: str, dst_path: str | None = None, lineage_header_info: dict[str, Any] | None = None
    ) -> str:
        """A local copy of a file or a folder of the model; of a version of Octavo's all files are checked.

        Raises:
            MlflowException: they are not those that were judged, or the audit log was changed; nothing is handed out.
        """
        if self.model_name is None:
            return self._as_ever(artifact_path, dst_path, lineage_header_info)
        vouched = import_module("octavo_mlflow.registry.vouched")
        try:
            client = import_module("mlflow").MlflowClient(self.tracking_uri, self.registry_uri)
            version = client.get_model_version(self.model_name, self.model_version)
            move = vouched.promotion(client, version)
            if move is None and FOLDER not in version.tags:
                return self._as_ever(artifact_path, dst_path, lineage_header_info)
            with TemporaryDirectory() as folder:
                place = Path(self._as_ever("", folder))
                vouched.check(place, version, move)
                target = Path(dst_path or mkdtemp())
                return str(_handed_out(place, artifact_path, target))
        except OctavoError as error:
            raise MlflowException(str(error)) from None

    def _as_ever(self, artifact_path: str, target: str | None, header: dict[str, Any] | None = None) -> str:
        return str(super().download_artifacts(artifact_path, target, header))  # type: ignore[no-untyped-call]


def _handed_out(place: Path, artifact_path: str, target: Path) -> Path:
    """Copy what is asked for from the folder that was checked."""
    asked = (place / artifact_path).resolve()
    if not asked.is_relative_to(place.resolve()) or not asked.exists():
        raise MlflowException.invalid_parameter_value(f"The model has no file {artifact_path}.")
    if asked.is_dir():
        return Path(shutil.copytree(asked, target / artifact_path, dirs_exist_ok=True))
    copy = target / artifact_path
    copy.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(asked, copy))
