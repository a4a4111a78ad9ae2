from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from octavo.backends import model_files
from octavo_mlflow.flavors import bundled_code, litert
from tests.octavo_mlflow.measured_project import Project, tflite_bytes

VARIANT = "litert_int8_static"
IMAGES = np.random.default_rng(2).random((5, 4, 4), np.float32)


@pytest.fixture
def file(project: Project) -> Path:
    return model_files.path_of(VARIANT).absolute()


@pytest.fixture
def logits(file: Path) -> np.ndarray:
    return litert.LiteRTModel(file).predict(IMAGES)


def test_saving_keeps_the_bytes_and_pickles_nothing(file: Path) -> None:
    litert.save_model(file, "saved", input_example=IMAGES[:1], metadata={"by": "test"})
    assert Path("saved/data/model.tflite").read_bytes() == file.read_bytes()
    files = {str(path.relative_to("saved")) for path in Path("saved").rglob("*") if path.is_file()}
    assert not any(name.endswith((".pkl", ".pickle")) for name in files)
    assert {
        "MLmodel",
        "conda.yaml",
        "python_env.yaml",
        "requirements.txt",
        "code/octavo_mlflow/flavors/litert.py",
    } <= files
    assert {name for name in files if name.startswith("code/")} == {
        f"code/octavo_mlflow/{n}" for n in bundled_code.FILES
    }

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
    with pytest.raises(MlflowException, match="takes one tensor, got 2: a, b"):
        model.predict({"a": IMAGES, "b": IMAGES})
    with pytest.raises(MlflowException, match=r"pixels in 0\.\.255, or values\?"):
        model.predict((IMAGES * 255).astype(np.int64))


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
    Path("two.tflite").write_bytes(tflite_bytes(outputs=2))
    with pytest.raises(MlflowException, match="it has 1 inputs and 2 outputs"):
        litert.save_model("two.tflite", "refused")
