"""A format in MLflow is one flavor module, called as the format is: nothing else knows of it."""

import io
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest

from octavo.backends import model_files
from octavo.backends.records import ModelFile
from octavo.project.errors import ModelError
from octavo_mlflow.flavors import flavor, logging, raw_model
from octavo_mlflow.flavors.flavor import flavor_of
from octavo_mlflow.registry import versions
from tests.contracts.additions import in_place
from tests.octavo_mlflow.measured_project import WEIGHTS, MakeProject

BYTES = np.random.default_rng(2).integers(0, 256, (5, 4, 4), np.uint8)


@pytest.fixture
def added() -> Iterator[None]:
    with in_place.added_to("octavo.backends", "octavo_mlflow.flavors"):
        yield


def written(path: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.vstack([WEIGHTS.T, np.zeros((1, 3), np.float32)]).astype(np.float32))
    path.parent.mkdir(parents=True)
    path.write_bytes(buffer.getvalue())
    return buffer.getvalue()


@pytest.mark.slow
@pytest.mark.usefixtures("added")
def test_a_file_of_an_added_format_is_logged_byte_for_byte_and_answers(make_project: MakeProject) -> None:
    project = make_project("onnx_fp32")
    path = model_files.path_of("linear_fp32")
    content = written(path)
    model = model_files.of(path)
    card = project.scorecards.card("onnx_fp32").model_copy(
        update={"variant": "linear_fp32", "format": "linear", "model": model}
    )
    with mlflow.start_run():
        logged = logging.log(card)
    location = mlflow.get_logged_model(logged).artifact_location
    with versions.stored(location, model) as copy:
        assert copy.read_bytes() == content
    images = BYTES.reshape(len(BYTES), 16)
    wanted = (images / np.float32(255)).astype(np.float32) @ WEIGHTS.T
    np.testing.assert_allclose(mlflow.pyfunc.load_model(f"models:/{logged}").predict(images), wanted, rtol=1e-4)
    with raw_model.fetched(f"models:/{logged}") as opened:
        np.testing.assert_allclose(opened.logits(images), wanted, rtol=1e-4)
    with pytest.raises(versions.Damaged), versions.stored(location, ModelFile(path=str(path), sha256="0" * 64)):
        pass


def test_a_format_without_a_flavor_is_told(tmp_path: Path) -> None:
    with (
        in_place.added_to("octavo.backends"),
        pytest.raises(ModelError, match=r"^Linear files have no flavor in MLflow"),
    ):
        flavor_of(tmp_path / "model.linear")
    with pytest.raises(ModelError, match=r"Known: \.tflite, \.onnx\."):
        flavor_of(tmp_path / "model.linear")


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_every_flavor_keeps_the_contract(suffix: str, tmp_path: Path) -> None:
    found = flavor.flavor_of(tmp_path / f"model{suffix}")
    assert all(callable(getattr(found, part)) for part in ("signature_of", "log_model", "open_file", "save_model"))
