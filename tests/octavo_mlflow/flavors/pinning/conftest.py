import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from octavo_mlflow.tracking import connection
from tests.octavo_mlflow.flavors.pinning.registry import ENTRY, write


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> MlflowClient:
    """Of an empty registry; the working directory is a project with one network of it."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path)
    mlflow.set_tracking_uri(connection.uri())
    write(ENTRY)
    return MlflowClient()
