import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from mlflow_plugins import litert
from pipeline import layout
from tests.mlflow_plugins.measured_project import Project, Serve

VARIANT = "litert_int8_static"
IMAGES = np.random.default_rng(2).random((5, 4, 4), np.float32)


@pytest.fixture
def file(project: Project) -> Path:
    return layout.model(VARIANT).absolute()


@pytest.fixture
def logits(file: Path) -> np.ndarray:
    return litert.LiteRTModel(file).predict(IMAGES)


def test_saving_keeps_the_bytes_and_pickles_nothing(file: Path) -> None:
    litert.save_model(file, "saved", input_example=IMAGES[:1], metadata={"by": "test"})
    assert Path("saved/data/model.tflite").read_bytes() == file.read_bytes()
    files = {str(path.relative_to("saved")) for path in Path("saved").rglob("*") if path.is_file()}
    assert not any(name.endswith((".pkl", ".pickle")) for name in files)
    assert {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "code/mlflow_plugins/litert.py"} <= files
    assert {name for name in files if name.startswith("code/")} == {f"code/mlflow_plugins/{n}" for n in litert.OWN_CODE}

    model = Model.load("saved")
    assert set(model.flavors) == {"litert", "python_function"}
    assert model.flavors["litert"]["data"] == "data/model.tflite"
    assert [(t.type, t.shape) for t in model.signature.inputs.inputs] == [(np.dtype("float32"), (-1, 4, 4))]
    assert [(t.type, t.shape) for t in model.signature.outputs.inputs] == [(np.dtype("float32"), (-1, 3))]
    assert model.metadata == {"by": "test"}
    requirements = Path("saved/requirements.txt").read_text()
    assert "ai-edge-litert==" in requirements
    assert "octavo" not in requirements


def test_logged_and_loaded_it_predicts_bit_for_bit_the_same(file: Path, logits: np.ndarray) -> None:
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    with mlflow.start_run():
        info = litert.log_model(file, "tiny", registered_model_name="tiny")
    for uri in info.model_uri, "models:/tiny/1":
        np.testing.assert_array_equal(litert.load_model(uri).predict(IMAGES), logits)
        np.testing.assert_array_equal(mlflow.pyfunc.load_model(uri).predict(IMAGES), logits)


def test_the_batch_follows_the_data(file: Path, logits: np.ndarray) -> None:
    model = litert.LiteRTModel(file)
    for size in 1, 5, 2:
        np.testing.assert_array_equal(model.predict({"images": IMAGES[:size]}), logits[:size])
    with pytest.raises(ValueError, match="takes one tensor, got 2: a, b"):
        model.predict({"a": IMAGES, "b": IMAGES})
    with pytest.raises(ValueError, match="FLOAT32"):
        model.predict(IMAGES.astype(np.int64))


def test_many_threads_may_share_a_model(file: Path, logits: np.ndarray) -> None:
    model = litert.LiteRTModel(file)
    batches = [1, 5, 3, 2] * 50
    with ThreadPoolExecutor(4) as threads:
        for size, got in zip(batches, threads.map(lambda size: model.predict(IMAGES[:size]), batches), strict=True):
            np.testing.assert_array_equal(got, logits[:size])


def test_what_is_no_litert_model_is_refused(file: Path) -> None:
    Path("text.tflite").write_text("hello")
    with pytest.raises(MlflowException, match=r"text\.tflite is not a LiteRT model"):
        litert.save_model("text.tflite", "refused")
    assert not Path("refused").exists()
    litert.save_model(file, "saved")
    with pytest.raises(MlflowException, match="not empty"):
        litert.save_model(file, "saved")


def test_it_loads_where_octavo_is_not_installed(file: Path, logits: np.ndarray) -> None:
    litert.save_model(file, "saved")
    np.save("images.npy", IMAGES)
    script = """
import importlib.abc, sys
class NotInstalled(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("pipeline", "stages"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NotInstalled())
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
import mlflow, numpy
numpy.save("logits.npy", mlflow.pyfunc.load_model("saved").predict(numpy.load("images.npy")))
print(sys.modules["mlflow_plugins.litert"].__file__)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "saved/code/mlflow_plugins/litert.py" in done.stdout
    np.testing.assert_array_equal(np.load("logits.npy"), logits)


@pytest.mark.slow
def test_mlflow_models_serve_answers(
    project: Project, logits: np.ndarray, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.register()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.get_tracking_uri())
    address = serve(["models", "serve", "--env-manager", "local", "-m", "models:/octavo/2"], "/ping")
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps({"inputs": IMAGES.tolist()}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        predictions = json.load(answer)["predictions"]
    np.testing.assert_array_equal(np.array(predictions, np.float32), logits)
