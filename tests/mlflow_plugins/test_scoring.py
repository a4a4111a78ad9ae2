"""A deployed file is fed as Octavo's runtime feeds it, whatever it takes."""

from pathlib import Path

import numpy as np
import pytest

from mlflow_plugins.answers import Model
from mlflow_plugins.deployment import Deployment, Settings, save
from mlflow_plugins.litert import signature_of
from pipeline import model_files
from pipeline.runtimes import open_model
from pipeline.splits import pixels
from tests.litert_files import dense

IMAGES = np.random.default_rng(3).integers(0, 256, (4, 4, 4), np.uint8)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_a_file_of_integers_answers_with_the_logits_that_were_measured(dtype: type, tmp_path: Path) -> None:
    path = dense(dtype, dtype, scale=0.0123, zero=5).write(tmp_path / "model.tflite")
    (tensor,) = signature_of(path).inputs.inputs
    record = Deployment(
        name="cam",
        model_uri="models:/cam/1",
        version="models:/cam/1",
        variant="litert_int8_static",
        flavor="litert",
        file=path.name,
        sha256=model_files.sha256(path),
        dtype=tensor.type.name,
        shape=tensor.shape,
        classes=[],
        settings=Settings(),
    )
    save(record, tmp_path)
    model, expected = Model(tmp_path), open_model(path)(IMAGES)
    for images, said in ((IMAGES, "uint8"), (pixels(IMAGES), "float32")):
        answer = model.answer({"inputs": images.tolist(), "params": {"dtype": said}})
        np.testing.assert_array_equal(np.array(answer["predictions"], np.float32), expected)
