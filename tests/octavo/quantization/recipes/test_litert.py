"""What LiteRT recipes write beyond what every recipe promises: integers at the ends, and weights of every layer."""

from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras
from tf_keras import layers

from octavo.backends import registry
from octavo.backends.litert import inspection
from octavo.backends.registry import open_model
from octavo.data.splits import Samples, Split
from octavo.evaluation import integer_coverage
from octavo.quantization import recipes
from octavo.training import export
from octavo.training.quantization_aware import qat

pytestmark = pytest.mark.slow

WITH_ENDS = {
    "litert_int8_static": "fp32",
    "litert_int8_qat": "qat",
    "litert_int8_static_tensorflow": "fp32",
    "litert_int8_qat_tensorflow": "qat",
}
FLOAT = [name for name in recipes.names() if name.startswith("litert") and "qat" not in name]
WRITERS = pytest.mark.parametrize("writer", ["", "_tensorflow"], ids=["own", "TensorFlow's"])


@pytest.mark.parametrize("recipe", WITH_ENDS)
def test_int8_ends_change_no_logit(
    recipe: str, exported: Path, samples: Samples, images: np.ndarray, tmp_path: Path
) -> None:
    made = {}
    for io in ("float32", "int8"):
        made[io] = tmp_path / f"{io}.tflite"
        recipes.quantize(recipe, exported / WITH_ENDS[recipe], made[io], samples, {"io": io})
        interface = integer_coverage.interface(made[io])
        assert (interface.input.dtype, interface.output.dtype) == (io, io)
    predictors = {io: open_model(path) for io, path in made.items()}
    stored = samples.selection.images
    for batch in stored, images:
        expected = predictors["float32"](batch)
        np.testing.assert_array_equal(predictors["int8"](batch), expected)
    assert integer_coverage.output_step(made["int8"]) == integer_coverage.output_step(made["float32"])
    assert made["int8"].stat().st_size < made["float32"].stat().st_size


def save(model: keras.Model, folder: Path) -> tuple[Path, Samples]:
    """The network exported, with biases as after training, and images for it."""
    generator = np.random.default_rng(1)
    for variable in model.trainable_variables:
        if variable.shape.rank == 1:
            variable.assign(generator.normal(0, 0.3, variable.shape))
    images = generator.random((40, *model.input_shape[1:]), np.float32)
    export.export(model, images, folder)
    return folder, Samples(images, Split(images, np.zeros(len(images), np.int64)))


def transposed() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((4, 4, 8)),
            layers.Conv2DTranspose(8, 3, 2, padding="same"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def solid() -> keras.Model:
    """Two 3-D convolutions, one of them transposed: LiteRT has no integer kernels for either."""
    return keras.Sequential(
        [
            layers.Input((4, 4, 4, 2)),
            layers.Conv3D(4, 2),
            layers.ReLU(),
            layers.Conv3DTranspose(4, 2),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def attention() -> keras.Model:
    source = layers.Input((6, 5))
    scores = layers.Dot((2, 2))([layers.Dense(8)(source), layers.Dense(8)(source)])
    return keras.Model(source, layers.Dense(10)(layers.Flatten()(scores)))


COUNTS = {
    "transposed": (transposed, 4 * 4 * 9 * 8 * 8 + 8 * 8 * 8 * 10, 9 * 8 * 8 + 8 * 8 * 8 * 10),
    "solid": (solid, 27 * 8 * 2 * 4 + 27 * 8 * 4 * 4 + 256 * 10, 8 * 2 * 4 + 8 * 4 * 4 + 256 * 10),
    "attention": (attention, 2 * 6 * 5 * 8 + 6 * 6 * 8 + 36 * 10, 2 * 5 * 8 + 36 * 10),
}


@pytest.mark.parametrize("name", COUNTS)
def test_both_formats_count_alike_and_every_int8_file_stores_integers(name: str, tmp_path: Path) -> None:
    build, macs, weights = COUNTS[name]
    keras.utils.set_random_seed(0)
    folder, samples = save(build(), tmp_path)
    expected = open_model(folder / "model.onnx")(samples.calibration)
    for recipe in ("onnx_fp32", *FLOAT):
        path = folder / ("made.onnx" if recipe == "onnx_fp32" else f"{recipe}.tflite")
        recipes.quantize(recipe, folder, path, samples, {})
        reader = registry.backend_of(path)
        assert sum(each.macs or 0 for each in reader.operators(path, None)) == macs
        assert sum(each.elements for each in reader.parameters(path) if each.kind == "weight") == weights
        assert integer_coverage.prove(path).integer_weight_share == ("int8" in recipe)
        got = open_model(path)(samples.calibration)
        assert np.sqrt(np.mean((got - expected) ** 2) / np.mean(expected**2)) < 0.05


def nearly_dead(images: np.ndarray) -> keras.Model:
    """Channels that hardly vary, in front of a depthwise convolution whose normalization makes much of them."""
    source = layers.Input((12, 12, 3))
    hidden = layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False)(source))
    hidden = layers.DepthwiseConv2D(9, use_bias=False)(layers.ReLU()(hidden))
    hidden = layers.ReLU()(layers.BatchNormalization()(hidden))
    model = keras.Model(source, layers.Dense(10)(layers.GlobalAveragePooling2D()(hidden)))
    generator = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            seen = keras.Model(source, layer.input)(images).numpy()
            scale, shift = np.ones(16), np.full(16, 0.5)
            if layer is model.layers[2]:
                scale[:4], shift[:4] = 1e-6, 0.006
            layer.set_weights([scale, shift, seen.mean((0, 1, 2)), seen.var((0, 1, 2))])
        elif layer.weights:
            layer.set_weights([generator.normal(0, 0.3, each.shape) for each in layer.get_weights()])
    return model


@WRITERS
def test_channels_that_hardly_vary_cost_little(writer: str, tmp_path: Path) -> None:
    """Their values are far below a step of the input, the same for all images, and count."""
    images = np.random.default_rng(0).random((64, 12, 12, 3), np.float32)
    export.export(nearly_dead(images), images, tmp_path)
    samples = Samples(images, Split(images, np.zeros(len(images), np.int64)), min_sqnr_db=-100)
    static, dynamic = f"litert_int8_static{writer}", f"litert_int8_dynamic{writer}"
    asked = {"corrected": (static, {}), "plain": (static, {"bias_correction": False}), "dynamic": (dynamic, {})}
    found = {
        name: recipes.quantize(recipe, tmp_path, tmp_path / f"{name}.tflite", samples, options).sqnr_db
        for name, (recipe, options) in asked.items()
    }
    assert found["plain"] < 20
    assert min(found["corrected"], found["dynamic"]) > 30


def dense_on_places(images: np.ndarray) -> keras.Model:
    """One channel hardly varies, and batch normalization takes away what it is."""
    source = layers.Input((6, 5))
    hidden = layers.Dense(8)(source)
    model = keras.Model(source, layers.Dense(10)(layers.Flatten()(layers.ReLU()(layers.BatchNormalization()(hidden)))))
    kernel, bias = model.layers[1].get_weights()
    kernel[:, 0], bias[0] = kernel[:, 0] * 1e-9, 2
    model.layers[1].set_weights([kernel, bias])
    seen = keras.Model(source, hidden)(images).numpy()
    model.layers[2].set_weights([np.ones(8), np.full(8, 0.3), seen.mean((0, 1)), seen.var((0, 1))])
    return model


@pytest.mark.parametrize("recipe", WITH_ENDS)
def test_a_dense_layer_on_places_takes_over_bias_and_normalization(recipe: str, tmp_path: Path) -> None:
    """In a file of one product each, in integers: none adds or multiplies constants afterwards."""
    images = np.random.default_rng(0).random((64, 6, 5), np.float32)
    model = dense_on_places(images)
    if "qat" in recipe:
        model = qat.annotate(keras.Sequential([layers.Input((6, 5)), layers.Dense(8, "relu"), layers.Flatten()]))
        qat.initialize_ranges(model, images)
    export.export(model, images, tmp_path)
    samples = Samples(images, Split(images, np.zeros(len(images), np.int64)))
    path = tmp_path / "model.tflite"
    assert recipes.quantize(recipe, tmp_path, path, samples, {}).sqnr_db > 30
    kinds = {operator.type for operator in inspection.operators(path)}
    assert kinds == {"Quantize", "FullyConnected", "Reshape", "Dequantize"}
    assert integer_coverage.prove(path).integer_compute_share == 1
