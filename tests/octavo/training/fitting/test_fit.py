"""Training that goes wrong is told, and leaves nothing behind."""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

from octavo.backends.registry import open_model
from octavo.data import prepare
from octavo.data.input_encoding import encode
from octavo.data.splits import Split, load_split
from octavo.project import paths
from octavo.project.errors import ModelError
from octavo.project.params.data import Data
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.training import Fit
from octavo.training import make
from octavo.training.fitting import fit

pytestmark = pytest.mark.slow

IMAGES = Split(np.random.default_rng(0).integers(0, 256, (64, 4, 4), dtype=np.uint8), np.arange(64) % 3)


def network(*more: layers.Layer) -> keras.Model:
    return keras.Sequential([layers.Input((4, 4)), layers.Flatten(), *more, layers.Dense(3)])


def test_a_network_is_trained_and_exported_on_what_the_encoding_makes_of_images(tmp_path: Path) -> None:
    """Weights are those of training on the encoded images themselves, as everywhere else they are encoded, too."""
    os.chdir(tmp_path)
    random = np.random.default_rng(1)
    images, labels = random.integers(0, 256, (90, 4, 4), np.uint8), np.arange(90) % 3
    np.savez("data.npz", images=images, labels=labels)
    encoding = InputEncoding(scale=1, mean=127, std=60)
    data = Data(source="npz", path=Path("data.npz"), calibration=20, encoding=encoding)
    prepare.prepare(data, paths.DATA)
    train, selection = (load_split(paths.split(name)) for name in ("train", "selection"))
    encoded, chosen = (Split(encode(part.images, encoding), part.labels) for part in (train, selection))
    budget, weights = Fit(epochs=2, batch_size=8), []
    for made in (False, True):
        keras.utils.set_random_seed(0)
        model = network(layers.Dense(8, activation="relu"))
        if made:
            make.trained(model, "fp32", budget, [])
        else:
            fit.fit(model, encoded, chosen, budget, "fp32")
        weights.append(model.get_weights())
    for direct, through in zip(*weights, strict=True):
        np.testing.assert_array_equal(through, direct)
    exported = open_model(paths.exported("fp32") / "model.onnx")
    assert exported.input_encoding == encoding
    wanted = np.asarray(model(encode(images, encoding), training=False))
    np.testing.assert_allclose(exported(images), wanted, rtol=1e-4, atol=1e-4)


def test_training_that_diverges_is_stopped_and_refused() -> None:
    """Exponentials of exponentials: the first step is already too large."""
    model = network(layers.Dense(8, activation="exponential"), layers.Dense(8, activation="exponential"))
    budget = Fit.model_construct(epochs=50, batch_size=8, learning_rate=100.0)
    with pytest.raises(
        ModelError, match=r"Training 'train' diverged in epoch 1 of 50: .*Set a learning_rate below 100 "
    ):
        fit.fit(model, IMAGES, IMAGES, budget, "train")


def test_weights_that_are_not_finite_are_refused_although_the_loss_is() -> None:
    class Counting(layers.Layer):
        def build(self, shape: object) -> None:
            self.sums = self.add_weight("sums", trainable=False, initializer=keras.initializers.Constant(1e38))

        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            self.sums.assign(self.sums * 10)
            return inputs

    with pytest.raises(ModelError, match="1 of 3 weights became NaN or infinite"):
        fit.fit(network(Counting()), IMAGES, IMAGES, Fit(epochs=1, batch_size=8), "train")


def test_a_layer_that_fails_in_training_is_told_with_its_line() -> None:
    class Failing(layers.Layer):
        def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
            if training:
                raise RuntimeError("not like this")
            return inputs

    with pytest.raises(
        ModelError, match=r"Training 'train' of network .* fails: .*test_fit\.py, line \d+: RuntimeError"
    ):
        fit.fit(network(Failing()), IMAGES, IMAGES, Fit(epochs=1, batch_size=8), "train")
