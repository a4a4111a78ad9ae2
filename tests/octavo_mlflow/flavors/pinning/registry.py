"""A registry with a model called door, and a project with one network of it, called shared."""

from pathlib import Path
from typing import Any

import mlflow
import mlflow.onnx
import onnx
import yaml
from mlflow import MlflowClient
from mlflow.models.model import ModelInfo

from tests.architecture.source_tree import ROOT
from tests.octavo_mlflow.conftest import Octavo

ENTRY = "brought:\n  shared: {uri: models:/door@champion} # theirs\n"


def write(brought: str) -> None:
    """Write `params.yaml` with that section."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("baseline:", f"{brought}\nbaseline:", 1), encoding="utf-8")


def entry() -> dict[str, Any]:
    return dict(yaml.safe_load(Path("params.yaml").read_text())["brought"]["shared"])


def log(made: onnx.ModelProto, **options: Any) -> Path:
    """Register a network as MLflow's users do, as champion, and return the folder of its files in the store."""
    with mlflow.start_run():
        return champion(
            mlflow.onnx.log_model(made, name="net", registered_model_name="door", pip_requirements=["onnx"], **options)
        )


def champion(logged: ModelInfo) -> Path:
    """Make a model that was just registered the champion, and return the folder of its files in the store."""
    client = MlflowClient()
    newest = max(int(each.version) for each in client.search_model_versions("name='door'"))
    client.set_registered_model_alias("door", "champion", str(newest))
    return Path(client.get_logged_model(str(logged.model_id)).artifact_location.removeprefix("file://"))


def state() -> dict[str, bytes]:
    """Everything in the project but MLflow's own files."""
    found = [path for path in Path().rglob("*") if path.parts[0] != "mlruns" and not path.name.startswith("mlflow.db")]
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in found}


def refused(octavo: Octavo, *arguments: str, code: int = 1) -> str:
    """What `octavo pin` says, where it changes nothing."""
    before = state()
    ended, out, said = octavo("pin", *arguments)
    assert (ended, out, said.count("\n")) == (code, "", 1), said
    assert state() == before
    return said
