"""A deployed file is fed as Octavo's runtime feeds it, whatever it takes."""

from http import HTTPStatus
from pathlib import Path

import numpy as np
import onnx
import pytest

from octavo.backends import model_files
from octavo.backends.registry import open_model
from octavo.data.input_encoding import encode
from octavo_mlflow.flavors import litert
from octavo_mlflow.flavors import onnx as onnx_flavor
from octavo_mlflow.serving.answers import RequestRefused, ServedModel
from octavo_mlflow.serving.record import Deployment, Settings, save
from tests.litert_files import dense
from tests.octavo_mlflow.measured_project import onnx_bytes

IMAGES = np.random.default_rng(3).integers(0, 256, (4, 4, 4), np.uint8)


def served(path: Path) -> ServedModel:
    """The model of this file, as its deployment opens it."""
    flavor = {".tflite": litert, ".onnx": onnx_flavor}[path.suffix]
    (tensor,) = flavor.signature_of(path).inputs.inputs
    record = Deployment(
        name="cam",
        model_uri="models:/cam/1",
        version="models:/cam/1",
        variant="variant",
        flavor=path.suffix,
        file=path.name,
        sha256=model_files.sha256(path),
        dtype=tensor.type.name,
        shape=tensor.shape,
        classes=[],
        settings=Settings(),
    )
    save(record, path.parent)
    return ServedModel(path.parent)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_a_file_of_integers_answers_with_the_logits_that_were_measured(dtype: type, tmp_path: Path) -> None:
    path = dense(dtype, dtype, scale=0.0123, zero=5).write(tmp_path / "model.tflite")
    model, expected = served(path), open_model(path)(IMAGES)
    for images, said in ((IMAGES, "uint8"), (encode(IMAGES), "float32")):
        answer = model.answer({"inputs": images.tolist(), "params": {"dtype": said}})
        np.testing.assert_array_equal(np.array(answer["predictions"], np.float32), expected)


def test_images_that_the_model_fails_on_are_refused(tmp_path: Path) -> None:
    """It declares images of any size, and has weights for one."""
    proto = onnx.load_from_string(onnx_bytes())
    for size in proto.graph.input[0].type.tensor_type.shape.dim[1:]:
        size.dim_param = "size"
    onnx.save(proto, tmp_path / "model.onnx")
    model, images = served(tmp_path / "model.onnx"), np.ones((2, 4, 4))
    for wrong, words in (images[:, :3], "The model fails on images of shape"), (images[..., :0], "have no pixels"):
        with pytest.raises(RequestRefused, match=words) as refused:
            model.answer({"inputs": wrong.tolist()})
        assert refused.value.status == HTTPStatus.BAD_REQUEST
    assert len(model.answer({"inputs": images.tolist()})["predictions"]) == 2
