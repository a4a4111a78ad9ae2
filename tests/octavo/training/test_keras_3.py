"""Networks that a builder makes with Keras 3 are trained, exported and trained further like those of tf_keras."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

from octavo.backends.registry import open_model
from octavo.data.splits import Split
from octavo.project.errors import ParamsError
from octavo.project.params.training import Fit
from octavo.training import ending, export, fitness, networks
from octavo.training.fitting import fit, library

pytestmark = pytest.mark.slow

SHAPE, CLASSES = (8, 8), 10
DIGITS = load_digits()
IMAGES, LABELS = np.rint(DIGITS.images * (255 / 16)).astype(np.uint8), DIGITS.target.astype(np.int64)
SAMPLES = (IMAGES[:50] / 255).astype(np.float32)
TRAIN, SELECTION = Split(IMAGES[:600], LABELS[:600]), Split(IMAGES[600:900], LABELS[600:900])


def sequential(*last: Any) -> Any:
    inner = [layers.Reshape((8, 8, 1)), layers.Conv2D(6, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    return keras.Sequential([layers.Input(SHAPE), *inner, layers.Dropout(0.1), layers.Flatten(), *last])


def functional(squash: Callable[[Any], Any]) -> Any:
    image = layers.Input(SHAPE)
    return keras.Model(image, squash(layers.Dense(CLASSES)(layers.Flatten()(image))))


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.flat, self.scores = layers.Flatten(), layers.Dense(CLASSES)

    def call(self, images: Any) -> Any:
        return self.scores(self.flat(images))


def of_builder(monkeypatch: pytest.MonkeyPatch, build: Callable[[], Any]) -> tuple[Any, str | None]:
    monkeypatch.setitem(networks.BUILDERS, "small_cnn", lambda *_: build())
    return networks.build_as_written("small_cnn", SHAPE, CLASSES)


@pytest.mark.parametrize(
    ("build", "removed"),
    [
        (lambda: sequential(layers.Dense(CLASSES)), None),
        (lambda: sequential(layers.Dense(CLASSES, activation="softmax")), "softmax"),
        (lambda: sequential(layers.Dense(CLASSES), layers.Softmax()), "softmax"),
        (lambda: functional(keras.ops.softmax), "softmax"),
        (lambda: functional(keras.activations.softmax), "softmax"),
        (lambda: functional(layers.Activation("sigmoid")), "sigmoid"),
        (lambda: keras.Sequential([layers.Input(SHAPE), functional(layers.Softmax())]), None),
        (Subclassed, None),
    ],
    ids=["logits", "activation", "layer", "operation", "function", "sigmoid", "nested", "subclassed"],
)
def test_a_builder_may_return_any_kind_of_network(
    build: Callable[[], Any], removed: str | None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if "nested" in request.node.name:
        with pytest.raises(ParamsError, match="gives probabilities, but logits are needed"):
            of_builder(monkeypatch, build)
        return
    model, kind = of_builder(monkeypatch, build)
    assert kind == removed
    assert library.of(model) is keras
    outputs = np.asarray(model(SAMPLES, training=False))
    assert outputs.shape == (50, CLASSES)
    assert outputs.min() < 0


def trained(build: Callable[[], Any], epochs: int, **asked: Any) -> tuple[Any, fit.Curve]:
    library.clear_session()
    library.set_random_seed(0)
    model, _ = ending.take_off(build())
    fitness.run(model, SHAPE)
    return model, fit.fit(model, TRAIN, SELECTION, Fit(epochs=epochs, batch_size=16, **asked), "fp32")


@pytest.mark.parametrize(
    ("build", "epochs"), [(lambda: sequential(layers.Dense(CLASSES, activation="softmax")), 3), (Subclassed, 10)]
)
def test_it_is_trained_saved_restored_and_exported(build: Callable[[], Any], epochs: int, tmp_path: Path) -> None:
    (model, curve), (again, _) = trained(build, epochs), trained(build, epochs)
    assert curve["val_accuracy"][-1] > 0.7
    for folder, each in (("one", model), ("two", again)):
        fit.save(each, curve, tmp_path / folder)
    one, two = ((tmp_path / folder / "weights.h5").read_bytes() for folder in ("one", "two"))
    assert one == two
    other, _ = trained(build, 1)
    fit.restore(other, tmp_path / "one" / "weights.h5")
    wanted = np.asarray(model(SAMPLES, training=False))
    np.testing.assert_array_equal(np.asarray(other(SAMPLES, training=False)), wanted)
    export.export(model, SAMPLES, tmp_path)
    np.testing.assert_allclose(open_model(tmp_path / "model.onnx")(IMAGES[:50]), wanted, rtol=1e-4, atol=1e-4)
    loaded = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    np.testing.assert_allclose(loaded(images=tf.constant(SAMPLES))["logits"], wanted, rtol=1e-4, atol=1e-4)


def test_all_ways_to_train_are_for_it_too() -> None:
    asked = {
        "optimizer": {"name": "sgd", "momentum": 0.9},
        "schedule": {"name": "cosine", "warmup_epochs": 1},
        "early_stopping": {"patience": 2},
        "augmentation": {"shift": 0.1, "noise": 0.05},
    }
    model, curve = trained(lambda: sequential(layers.Dense(CLASSES)), 4, learning_rate=0.05, **asked)
    assert max(curve["val_accuracy"]) > 0.3
    assert np.isfinite(np.asarray(model(SAMPLES, training=False))).all()
