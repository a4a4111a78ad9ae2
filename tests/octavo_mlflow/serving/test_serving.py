"""Models of both formats behind MLflow's own commands, and where octavo is not installed."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import mlflow
import numpy as np
import pytest

from octavo.backends import model_files
from octavo.backends.registry import open_model
from octavo_mlflow.flavors import bundled_code, litert, onnx
from tests.octavo_mlflow.measured_project import Project, Serve

FLAVORS = {"onnx_fp32": onnx, "litert_int8_static": litert}
BYTES = np.random.default_rng(2).integers(0, 256, (5, 4, 4), np.uint8)
FLOATS = BYTES.astype(np.float32) / np.float32(255)
REQUESTS = (
    {"inputs": FLOATS.tolist()},
    {"inputs": BYTES.tolist(), "params": {"dtype": "uint8"}},
    {"inputs": FLOATS.reshape(5, 16).tolist(), "params": {"dtype": "float32"}},
)

ELSEWHERE = """
import importlib.abc, sys
class NotInstalled(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("octavo", "octavo_stages"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NotInstalled())
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
import mlflow, numpy
for name in sys.argv[1:]:
    images = numpy.load("images.npy")
    numpy.save(f"{name}.npy", mlflow.pyfunc.load_model(name).predict(images))
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("octavo_mlflow")))
"""


@pytest.fixture
def logits(project: Project) -> dict[str, np.ndarray]:
    """What Octavo's runtime answers, by variant."""
    return {name: open_model(model_files.path_of(name))(FLOATS) for name in FLAVORS}


@pytest.mark.parametrize("variant", FLAVORS)
def test_they_take_what_every_flavor_of_mlflow_takes(variant: str, logits: dict[str, np.ndarray]) -> None:
    flavor, file = FLAVORS[variant], model_files.path_of(variant)
    Path("helper.py").write_text("HELP = 1\n")
    flavor.save_model(file, "extra", extra_pip_requirements=["tabulate"], code_paths=["helper.py"])
    listed = Path("extra/requirements.txt").read_text().split()
    assert {"tabulate", *flavor.get_default_pip_requirements()} <= set(listed)
    assert any(line.startswith("mlflow==") for line in listed)
    assert Path("extra/code/helper.py").is_file()
    np.testing.assert_array_equal(mlflow.pyfunc.load_model("extra").predict(BYTES), logits[variant])

    Path("more.txt").write_text("tabulate\n")
    flavor.save_model(file, "from_file", extra_pip_requirements="more.txt")
    assert Path("from_file/requirements.txt").read_text().split() == listed

    flavor.save_model(file, "pinned", pip_requirements=["numpy==2.0.0"])
    assert Path("pinned/requirements.txt").read_text().split() == [listed[0], "numpy==2.0.0"]
    environment = flavor.get_default_conda_env() | {"name": "mine"}
    flavor.save_model(file, "conda", conda_env=environment)
    assert "name: mine" in Path("conda/conda.yaml").read_text()
    with pytest.raises(ValueError, match="Only one of"):
        flavor.save_model(file, "both", conda_env=environment, pip_requirements=["numpy"])


@pytest.mark.slow
def test_they_load_where_octavo_is_not_installed(logits: dict[str, np.ndarray]) -> None:
    for name, flavor in FLAVORS.items():
        flavor.save_model(model_files.path_of(name), name)
    np.save("images.npy", BYTES)
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, *FLAVORS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (loaded,) = (line.split() for line in done.stdout.splitlines())
    assert {file.partition("/code/octavo_mlflow/")[2] for file in loaded} == set(bundled_code.FILES)
    for name, expected in logits.items():
        np.testing.assert_array_equal(np.load(f"{name}.npy"), expected)


def ask(address: str, request: dict[str, Any]) -> Any:
    body = json.dumps(request).encode()
    sent = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(sent, timeout=30) as answer:
        return json.load(answer)["predictions"]


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "version"), [("onnx_fp32", 1), ("litert_int8_static", 2)])
def test_mlflow_models_serve_answers_as_measured(
    variant: str,
    version: int,
    project: Project,
    logits: dict[str, np.ndarray],
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project.register()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.get_tracking_uri())
    address = serve(["models", "serve", "--env-manager", "local", "-m", f"models:/octavo/{version}"], "/ping")
    for request in REQUESTS:
        np.testing.assert_array_equal(np.array(ask(address, request), np.float32), logits[variant])
    with pytest.raises(HTTPError) as refused:
        ask(address, {"inputs": BYTES.tolist()})
    assert refused.value.code == 400
    assert "pixels in 0..255, or values?" in json.load(refused.value)["message"]


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "request_"), list(zip(FLAVORS, REQUESTS, strict=False)))
def test_mlflow_models_predict_answers_as_measured(
    variant: str, request_: dict[str, Any], logits: dict[str, np.ndarray]
) -> None:
    FLAVORS[variant].save_model(model_files.path_of(variant), "saved")
    Path("request.json").write_text(json.dumps(request_))
    command = ["models", "predict", "--env-manager", "local", "-m", "saved", "-i", "request.json", "-o", "answer.json"]
    subprocess.run([sys.executable, "-m", "mlflow", *command], check=True, capture_output=True)
    answer = json.loads(Path("answer.json").read_text())["predictions"]
    np.testing.assert_array_equal(np.array(answer, np.float32), logits[variant])
