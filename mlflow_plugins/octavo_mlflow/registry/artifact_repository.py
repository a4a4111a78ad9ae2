"""Artifact repository for `models:/…`: hands out Octavo's versions only if their files are unchanged.

`mlflow.pyfunc.load_model`, `mlflow models serve` and everything else that loads a version by name go through this
class on every machine that has Octavo. They get no changed file, and they run no code that somebody put beside a model.
Models that Octavo did not register are handed out as MLflow does it.

MLflow loads this module while MLflow itself is being imported, so the modules for the check are imported on first use.
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
    """The files of one model version, or of one logged model."""

    def download_artifacts(
        self, artifact_path: str, dst_path: str | None = None, lineage_header_info: dict[str, Any] | None = None
    ) -> str:
        """Copy a file or a folder of the model to this machine. All files of a version of Octavo's are checked first.

        Args:
            artifact_path: path inside the model's folder; empty for all of it.
            dst_path: folder for the copy; a new temporary folder if None.
            lineage_header_info: passed on to MLflow.

        Returns:
            The path of the local copy.

        Raises:
            MlflowException: the files differ from those that were judged, or the audit log was changed. Nothing is
                copied.
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
    """Copy the requested file or folder from the checked folder."""
    asked = (place / artifact_path).resolve()
    if not asked.is_relative_to(place.resolve()) or not asked.exists():
        raise MlflowException.invalid_parameter_value(f"The model has no file {artifact_path}.")
    if asked.is_dir():
        return Path(shutil.copytree(asked, target / artifact_path, dirs_exist_ok=True))
    copy = target / artifact_path
    copy.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(asked, copy))
