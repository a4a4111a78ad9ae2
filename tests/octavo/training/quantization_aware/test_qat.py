"""Fake quantization around what TFMOT knows, the rest in float by name; ranges as the images give them."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

from octavo.project.errors import ModelError
from octavo.training import export
from octavo.training.quantization_aware import qat
from tests.octavo.training import networks
from tests.octavo.training.networks import Builder, Doubling, graph, sequence

pytestmark = pytest.mark.slow

IN_FLOAT: dict[str, tuple[Builder, list[str]]] = {
    "rescaling": (sequence(layers.Rescaling(2.0, -1.0, name="scale"), layers.Conv2D(4, 3)), ["scale"]),
    "operators": (
        graph(networks.hard_swish),
        ["tf.__operators__.add", "tf.math.multiply", "tf.math.truediv"],
    ),
    "a function": (graph(lambda x: tf.nn.gelu(x, approximate=True)), ["tf.nn.gelu"]),
    "slices": (graph(lambda x: x[:, 1:, 1:, :2]), ["tf.__operators__.getitem"]),  # type: ignore[index]
    "layer normalization": (graph(layers.LayerNormalization(name="norm")), ["norm"]),
    "normalization that nothing absorbs": (
        graph(lambda x: layers.BatchNormalization(name="norm")(layers.MaxPooling2D()(x))),
        ["norm"],
    ),
    "recurrent": (sequence(layers.GRU(5, name="gru"), shape=networks.SERIES), ["gru"]),
    "a layer of the user's own": (graph(Doubling(name="mine")), ["mine"]),
    "a lambda": (graph(layers.Lambda(lambda x: x * 2, name="mine")), ["mine"]),
    "an activation": (sequence(layers.Conv2D(4, 3, activation="elu", name="conv")), ["conv_activation"]),
    "an activation of the user's own": (
        sequence(layers.Conv2D(4, 3, activation=lambda x: -tf.nn.relu(x), name="conv")),
        ["conv_activation"],
    ),
    "several inputs": (graph(lambda x: layers.Multiply(name="product")([x, x])), ["product"]),
}
EXPORTED = ("operators", "recurrent", "a layer of the user's own")
WHOLE: dict[str, Builder] = {
    "a model in the model": graph(lambda x: networks.block("inner")(x)),  # noqa: PLW0108 - made anew for each network
    "a model as for inference": graph(lambda x: networks.block("inner")(x, training=False)),
    "a shared layer": graph(networks.two_uses),
    "dropout": sequence(layers.Conv2D(4, 3), layers.Dropout(0.5)),
    "a dead ReLU": networks.dead(),
    "empty channels": networks.empty_channels,
    "only below zero": sequence(
        layers.Conv2D(4, 3, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(-2.0))
    ),
}


def images_of(model: keras.Model) -> np.ndarray:
    return np.random.default_rng(0).random((12, *model.input_shape[1:]), dtype=np.float32)


def aware(build: Builder) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """The network with fake quantization and ranges, images, and the logits that it gave for them in float."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = build()
    images = images_of(model)
    wanted = np.asarray(model(images))
    model = qat.annotate(model)
    qat.initialize_ranges(model, images)
    return model, images, wanted


def check(model: keras.Model, images: np.ndarray, wanted: np.ndarray, folder: Path | None) -> None:
    """It computes what the float network did, but for the rounding; exported to `folder`, too, if there is one."""
    got = np.asarray(model(images))
    assert np.linalg.norm(got - wanted) < 0.05 * np.linalg.norm(wanted)
    if folder:
        export.export(model, images, folder)


@pytest.mark.parametrize("kind", IN_FLOAT)
def test_what_tfmot_does_not_know_stays_float_and_the_rest_does_not(kind: str, tmp_path: Path) -> None:
    build, names = IN_FLOAT[kind]
    model, images, wanted = aware(build)
    assert qat.float_layers(model) == names or [name.rpartition("_")[0] for name in qat.float_layers(model)] == names
    quantized = [layer.layer.name for layer in model.layers if layer.name.startswith("quant_")]
    assert any(name.startswith(("conv", "first")) for name in quantized) or kind == "recurrent"
    assert any(name.startswith(("dense", "last")) for name in quantized)
    check(model, images, wanted, tmp_path if kind in EXPORTED else None)


@pytest.mark.parametrize("kind", WHOLE)
def test_what_looks_special_is_quantized_all_the_same(kind: str, tmp_path: Path) -> None:
    model, images, wanted = aware(WHOLE[kind])
    assert qat.float_layers(model) == []
    check(model, images, wanted, tmp_path)


def temporal() -> keras.Model:
    """Causal convolutions in residual blocks, as of a temporal convolutional network."""
    source = layers.Input(networks.SERIES)
    hidden = layers.Conv1D(6, 1)(source)
    for rate in (1, 2):
        branch = layers.Conv1D(6, 3, padding="causal", dilation_rate=rate, activation="relu")(hidden)
        branch = layers.Conv1D(6, 3, padding="causal", dilation_rate=rate, activation="relu")(branch)
        hidden = layers.ReLU()(layers.Add()([hidden, branch]))
    return keras.Model(source, layers.Dense(10)(layers.GlobalMaxPooling1D()(hidden)))


def test_a_temporal_network_is_exported_as_it_is(tmp_path: Path) -> None:
    """Optimizations of onnxruntime lose transpositions between its rounded values."""
    model, images, wanted = aware(temporal)
    check(model, images, wanted, tmp_path)


def test_weights_come_back_in_another_process_order(tmp_path: Path) -> None:
    """What `export` builds anew takes the weights that `qat` saved, also those of layers in float."""
    build = graph(lambda x: layers.LayerNormalization()(networks.block("inner")(Doubling()(networks.hard_swish(x)))))
    model, images, _ = aware(build)
    model.save_weights(tmp_path / "weights.h5")
    keras.backend.clear_session()
    again = qat.annotate(build())
    again.load_weights(tmp_path / "weights.h5")
    np.testing.assert_array_equal(again(images), model(images))


def test_a_layer_that_is_read_by_a_quantized_one_gives_integers() -> None:
    """Else the convolution behind it would be computed in float."""
    model, _, _ = aware(graph(lambda x: layers.Conv2D(3, 3)(layers.LayerNormalization(name="norm")(x))))
    values = model.get_layer("norm")(np.random.default_rng(0).normal(0, 1, (12, 6, 6, 4)).astype(np.float32))
    assert 20 < len(np.unique(values)) <= 256


def test_training_reaches_the_layers_in_float() -> None:
    model, images, _ = aware(graph(layers.LayerNormalization(name="norm")))
    before = model.get_layer("norm").kept.get_weights()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, np.arange(12) % 10, verbose=0)
    assert all((old != new).any() for old, new in zip(before, model.get_layer("norm").kept.get_weights(), strict=True))


def test_ranges_come_from_inference_and_frozen_layers_stay_frozen() -> None:
    """Dropout would double what passes; a batch normalization that the user froze does not thaw."""
    model, images, _ = aware(
        sequence(
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.Dropout(0.5),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(trainable=False, name="norm"),
        )
    )
    conv = keras.Model(model.input, model.get_layer("quant_conv").output)
    (high,) = [each for each in model.get_layer("quant_conv").variables if each.name.endswith("activation_max:0")]
    assert high.numpy() == pytest.approx(conv(images).numpy().max(), rel=0.01)
    assert not model.get_layer("quant_norm").trainable


def test_dead_layers_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    aware(networks.dead())
    assert "'died' gives only zeros: its range 0..0 becomes 0..1." in capsys.readouterr().err


def test_a_range_that_decays_after_a_death_is_widened() -> None:
    model, images, _ = aware(networks.dead())
    (high,) = [each for each in model.variables if "died" in each.name and each.name.endswith("activation_max:0")]
    high.assign(1e-30)
    qat.widen(model, images)
    assert high.numpy() == 1


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (
            lambda: keras.Sequential([layers.Input(networks.IMAGE), layers.Flatten(), Mine(10)]),
            "none of its layers that have",
        ),
        (lambda: called(Subclassed()), "this one is subclassed"),
    ],
)
def test_a_network_with_nothing_to_quantize_is_refused(build: Builder, told: str) -> None:
    with pytest.raises(ModelError, match=rf"cannot be trained quantization-aware: .*{told}"):
        qat.annotate(build())


def test_values_that_are_not_finite_are_refused_with_their_layer() -> None:
    model = graph(layers.Lambda(lambda x: x / 0.0, name="endless"))()
    with pytest.raises(ModelError, match=r"values at 'endless.* are not finite on calibration images"):
        qat.initialize_ranges(qat.annotate(model), images_of(model))


IMAGE = networks.IMAGE


class Mine(layers.Dense):
    pass


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(10)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.dense(keras.backend.batch_flatten(inputs))


def called(model: keras.Model) -> keras.Model:
    model(np.zeros((1, *IMAGE), np.float32))
    return model
