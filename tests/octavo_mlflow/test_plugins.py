"""MLflow finds every plugin in a process of its own, and starts without what they need."""

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

HEAVY = ("onnx", "onnxruntime", "ai_edge_litert", "matplotlib", "dvc", "octavo_mlflow.registration.register")
GROUPS = {
    "mlflow.run_context_provider": {"dvc"},
    "mlflow.model_evaluator": {"quantization"},
    "mlflow.dataset_source": {"dvc"},
    "mlflow.deployments": {"octavo"},
}
SCRIPT = """
import json, os, sys, warnings
warnings.filterwarnings("error", message="Failure attempting")  # MLflow could not load a plugin
os.environ.update(DVC_STAGE="train")
import mlflow
loaded = sorted(set(sys.modules) & set(sys.argv[1:]))
from mlflow.data.dataset_source_registry import get_registered_sources
from mlflow.deployments import get_deploy_client
from mlflow.deployments.interface import _target_help
from mlflow.models import list_evaluators
mlflow.set_tracking_uri("sqlite:///store.db")
with mlflow.start_run() as run:
    tags = run.data.tags
print(json.dumps({
    "loaded": loaded,
    "stage": tags["dvc.stage"],
    "sources": [source._get_source_type() for source in get_registered_sources()],
    "evaluators": list_evaluators(),
    "client": type(get_deploy_client("octavo")).__name__,
    "help": _target_help("octavo"),
}))
"""


def test_what_is_declared_is_what_is_installed() -> None:
    for group, names in GROUPS.items():
        found = {point.name: point for point in entry_points(group=group) if point.dist and point.dist.name == "octavo"}
        assert set(found) == names, "install the project again: make clean lint"
        for point in found.values():
            assert point.load()


@pytest.mark.slow
def test_mlflow_finds_them_and_starts_without_what_they_need(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["loaded"] == []
    assert found["stage"] == "train"
    assert "dvc" in found["sources"]
    assert "quantization" in found["evaluators"]
    assert found["client"] == "OctavoDeployments"
    assert "mlflow deployments create" in found["help"]
