"""One PNG gets the same logits on every way through Octavo, whatever the input encoding."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import pytest
import tf_keras as keras
from ai_edge_litert import schema_py_generated as schema
from PIL import Image
from tf_keras import layers

from octavo.backends import layer_sqnr
from octavo.backends.litert.content import tensors
from octavo.backends.registry import open_model
from octavo.data.input_encoding import KEY, encode
from octavo.data.sources import image_file
from octavo.data.splits import Samples, Split
from octavo.project.params.encoding import InputEncoding
from octavo.quantization import recipes
from octavo.quantization.converter.means import mean_inputs
from octavo.training import export
from octavo.training.quantization_aware import qat
from octavo_mlflow.flavors.flavor import flavor_of
from octavo_mlflow.flavors.raw_model import fetched
from tests.octavo_mlflow.serving.test_server import served

pytestmark = pytest.mark.slow

IMAGENET = InputEncoding(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
IMAGES = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    filters = [layers.Conv2D(8, 3, activation="relu", name=name) for name in ("first", "second")]
    return keras.Sequential([layers.Input((8, 8, 3)), *filters, layers.Flatten(), layers.Dense(4, name="last")])


@pytest.fixture(scope="module")
def exported(network: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, fed = tmp_path_factory.mktemp("exported"), encode(IMAGES, IMAGENET)
    export.export(network, fed, folder / "fp32", IMAGENET)
    aware = qat.annotate(network)
    qat.initialize_ranges(aware, fed)
    export.export(aware, fed, folder / "qat", IMAGENET)
    return folder


def make(recipe: str, exported: Path, folder: Path, **options: Any) -> Path:
    suffix = {"onnx": ".onnx", "litert": ".tflite"}[recipe.partition("_")[0]]
    target = folder / "_".join((recipe, *options)) / f"model{suffix}"
    source = exported / ("qat" if "qat" in recipe else "fp32")
    recipes.quantize(recipe, source, target, Samples(IMAGES, Split(IMAGES, np.zeros(64, np.int64))), options)
    return target


@pytest.mark.parametrize("recipe", ["onnx_fp32", "litert_fp32", "litert_fp32_tensorflow"])
def test_one_png_gets_the_same_logits_on_every_way(
    recipe: str, network: keras.Model, exported: Path, tmp_path: Path
) -> None:
    Image.fromarray(IMAGES[5]).save(tmp_path / "one.png")
    stored = image_file.read(tmp_path / "one.png").pixels[None]
    file = make(recipe, exported, tmp_path)
    measured = open_model(file)(stored)
    trained = np.asarray(network(encode(stored, IMAGENET), training=False))
    np.testing.assert_allclose(measured, trained, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(open_model(exported / "fp32/model.onnx")(stored), trained, rtol=1e-5, atol=1e-5)
    flavor = flavor_of(file)
    flavor.save_model(file, tmp_path / "saved")  # type: ignore[attr-defined] # every flavor has it, as MLflow asks
    pyfunc = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    deployment = served(file)
    scaled = stored.astype(np.float32) / np.float32(255)
    with fetched(str(tmp_path / "saved")) as opened:
        for said, images in (("uint8", stored), ("float32", scaled)):
            np.testing.assert_array_equal(pyfunc.predict(images), measured)
            np.testing.assert_array_equal(opened(images), measured)
            answer = deployment.answer({"inputs": images.tolist(), "params": {"dtype": said}})
            np.testing.assert_array_equal(np.array(answer["predictions"], np.float32), measured)


@pytest.mark.parametrize("recipe", recipes.names())
def test_a_file_that_takes_bytes_answers_with_the_same_bits(recipe: str, exported: Path, tmp_path: Path) -> None:
    floats, taking = make(recipe, exported, tmp_path), make(recipe, exported, tmp_path, take_bytes=True)
    predict = open_model(taking)
    np.testing.assert_array_equal(predict.feed(IMAGES), IMAGES)
    np.testing.assert_array_equal(predict(IMAGES), open_model(floats)(IMAGES))
    takes = flavor_of(taking).open_file(taking, 1).takes
    np.testing.assert_array_equal(takes.take(IMAGES), IMAGES)
    source = exported / ("qat" if "qat" in recipe else "fp32") / "model.onnx"
    fed, found = open_model(floats).feed(IMAGES), layer_sqnr.measure(floats, source, IMAGES, encode(IMAGES, IMAGENET))
    assert recipe != "onnx_fp32" or set(found.values()) == {200}  # the layers of the network itself
    assert layer_sqnr.likely(taking, source, IMAGES, IMAGES) == layer_sqnr.likely(floats, source, IMAGES, fed) != {}


def test_layers_are_compared_on_encoded_images(exported: Path, tmp_path: Path) -> None:
    file, source = make("litert_fp32_tensorflow", exported, tmp_path), exported / "fp32/model.onnx"
    found = layer_sqnr.likely(file, source, IMAGES, open_model(file).feed(IMAGES))
    assert found["first"] > 100 < found["last"]
    (operator, *_), model = litert_model(file)
    (mean,) = mean_inputs(model, [operator], IMAGES)
    np.testing.assert_allclose(mean[0], encode(IMAGES, IMAGENET).mean(0), atol=1e-5)


def litert_model(file: Path) -> tuple[list[schema.OperatorT], schema.ModelT]:
    """The operators of a LiteRT file, and the file."""
    model = tensors.read(file.read_bytes())
    return model.subgraphs[0].operators, model


def test_files_of_the_default_encoding_keep_their_bytes(network: keras.Model, tmp_path: Path) -> None:
    for name, encodings in (("without", ()), ("default", (InputEncoding(),))):
        export.export(network, encode(IMAGES), tmp_path / name, *encodings)
    without, default = (tmp_path / name for name in ("without", "default"))
    assert (without / "model.onnx").read_bytes() == (default / "model.onnx").read_bytes()
    samples = Samples(IMAGES, Split(IMAGES, np.zeros(64, np.int64)))
    recipes.quantize("onnx_int8_static", default, tmp_path / "model.onnx", samples, {})
    assert not onnx.load(tmp_path / "model.onnx").metadata_props
    recipes.quantize("litert_int8_static", default, tmp_path / "model.tflite", samples, {})
    assert KEY not in tensors.metadata(tmp_path / "model.tflite")
