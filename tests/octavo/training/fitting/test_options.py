"""What a project may ask of a training, and what comes of it."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.datasets import load_digits
from tf_keras import layers

from octavo.data.splits import Split
from octavo.project.errors import ParamsError
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.section import faults
from octavo.project.params.training import Augmentation, Fit
from octavo.training.fitting import augmentation, fit, optimizing, weighting

pytestmark = pytest.mark.slow

DIGITS = load_digits()
IMAGES = np.rint(DIGITS.images * (255 / 16)).astype(np.uint8)
LABELS = DIGITS.target.astype(np.int64)
TRAIN, SELECTION = Split(IMAGES[:400], LABELS[:400]), Split(IMAGES[400:700], LABELS[400:700])


def trained(
    train: Split = TRAIN, weights: dict[int, float] | None = None, seed: int = 0, **asked: Any
) -> tuple[keras.Model, fit.Curve]:
    keras.utils.set_random_seed(seed)
    inner = [layers.Flatten(), layers.Dense(24, activation="relu"), layers.Dense(10)]
    model = keras.Sequential([layers.Input((8, 8)), *inner])
    budget = Fit(**({"epochs": 4, "batch_size": 16, "learning_rate": 0.003} | asked))
    return model, fit.fit(model, train, SELECTION, budget, "fp32", weights=weights)


def weights_of(model: keras.Model) -> np.ndarray:
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return weights_of(trained()[0])


@pytest.mark.parametrize(
    "asked",
    [
        {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.001}, "learning_rate": 0.05},
        {"optimizer": "adamw"},
        {"optimizer": {"name": "rmsprop", "momentum": 0.5}},
        {"schedule": {"name": "cosine", "warmup_epochs": 1}},
        {"schedule": {"name": "exponential", "factor": 0.5}},
        {"augmentation": {"shift": 0.1, "rotation": 10, "zoom": 0.1, "brightness": 0.1, "noise": 0.05}},
    ],
    ids=["sgd", "adamw", "rmsprop", "cosine", "exponential", "augmentation"],
)
def test_each_way_to_train_learns_and_gives_the_same_weights_twice(asked: dict[str, Any], plain: np.ndarray) -> None:
    (one, curve), (other, _) = trained(**asked), trained(**asked)
    np.testing.assert_array_equal(weights_of(one), weights_of(other))
    assert not np.array_equal(weights_of(one), plain)
    assert curve["val_accuracy"][-1] > 0.6


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [1, 1, 1, 1, 1, 1]),
        ({"name": "exponential", "factor": 0.5}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ({"name": "steps", "factor": 0.1, "epochs": [1, 2]}, [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("cosine", (1 + np.cos(np.pi * np.arange(6) / 6)) / 2),
        (
            {"name": "cosine", "warmup_epochs": 1, "floor": 0.2},
            [0, 0.5, *(0.6 + 0.4 * np.cos(np.pi * np.arange(4) / 4))],
        ),
    ],
    ids=["constant", "exponential", "steps", "cosine", "warmup"],
)
def test_a_schedule_gives_the_learning_rate_of_each_step(schedule: Any, rates: list[float]) -> None:
    """Three epochs of two steps."""
    budget = Fit(epochs=3, batch_size=8, learning_rate=0.5, schedule=schedule)
    optimizer = optimizing.optimizer(keras, budget, 2)
    weight, seen = tf.Variable(1.0), []
    for _ in range(6):
        optimizer.apply_gradients([(tf.constant(0.1), weight)])
        seen.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(seen, 0.5 * np.asarray(rates), rtol=1e-5)


def test_a_training_that_gets_worse_stops_and_keeps_its_best_epoch() -> None:
    """Labels without a pattern: after a few epochs the network only learns them by heart."""
    random = np.random.default_rng(0)
    train = Split(TRAIN.images, np.where(random.random(400) < 0.5, random.integers(0, 10, 400), TRAIN.labels))
    asked: dict[str, Any] = {"early_stopping": {"patience": 3}, "epochs": 60, "learning_rate": 0.01}
    model, curve = trained(train, **asked)
    best = fit.kept_epoch(curve, Fit(batch_size=16, **asked))
    assert len(curve["loss"]) == best + 1 + 3 < 60
    cut, _ = trained(train, **asked | {"early_stopping": None, "epochs": best + 1})
    np.testing.assert_array_equal(weights_of(model), weights_of(cut))


def test_without_early_stopping_the_last_epoch_is_kept() -> None:
    assert fit.kept_epoch({"loss": [3, 1, 2], "val_loss": [3, 1, 2]}, Fit(epochs=3, batch_size=1)) == 2


def test_balanced_classes_raise_the_recall_of_a_rare_one() -> None:
    often = np.flatnonzero(TRAIN.labels != 8)
    rare = np.flatnonzero(TRAIN.labels == 8)[:4]
    train = TRAIN.take(np.concatenate([often, rare]))
    balanced = weighting.of_classes("balanced", train.labels, [str(label) for label in range(10)])
    assert balanced is not None
    assert sum(balanced[label] for label in train.labels) == pytest.approx(len(train.labels))
    eights = SELECTION.images[SELECTION.labels == 8] / np.float32(255)
    recalls = [(np.argmax(trained(train, weights)[0](eights), 1) == 8).mean() for weights in (None, balanced)]
    assert recalls[1] > recalls[0] + 0.1


def test_weights_by_name_are_those_of_their_labels() -> None:
    assert weighting.of_classes({"b": 3.0}, np.array([0, 1]), ("a", "b")) == {0: 1.0, 1: 3.0}
    with pytest.raises(ParamsError, match=r"class_weights names 'bb'\. Did you mean 'b'\? Known: a, b"):
        weighting.of_classes({"bb": 3.0}, np.array([0, 1]), ("a", "b"))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_augmented_images_stay_bytes_and_are_new_in_each_epoch(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, *shape), np.uint8)
    asked = Augmentation(flip="both", shift=0.3, brightness=1, noise=0.5)
    keras.utils.set_random_seed(0)
    encoding = InputEncoding(dtype="uint8")
    batches = augmentation.batches(Split(images, np.arange(10)), asked, 4, encoding, {3: 2.0})
    epochs = [[next(batches) for _ in range(3)] for _ in range(2)]
    for epoch in epochs:
        assert [batch.shape for batch, _, _ in epoch] == [(4, *shape), (4, *shape), (2, *shape)]
        assert {batch.dtype for batch, _, _ in epoch} == {np.dtype(np.uint8)}
        assert sorted(np.concatenate([labels for _, labels, _ in epoch])) == list(range(10))
        for _, labels, weights in epoch:
            np.testing.assert_array_equal(weights, np.where(labels == 3, 2, 1))
    by_label = [
        {int(label): image for batch, labels, _ in epoch for image, label in zip(batch, labels, strict=True)}
        for epoch in epochs
    ]
    assert not any(np.array_equal(by_label[0][label], by_label[1][label]) for label in range(10))


def test_vectors_have_noise_alone() -> None:
    vectors = Split(np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32), np.arange(40) % 2)
    model = keras.Sequential([layers.Input((6,)), layers.Dense(2)])
    budget: dict[str, Any] = {"epochs": 1, "batch_size": 8}
    fit.fit(model, vectors, vectors, Fit(**budget, augmentation={"noise": 0.1}), "fp32")
    with pytest.raises(ParamsError, match=r"augmentation has flip, shift, which are for images .* Allowed .* is noise"):
        fit.fit(model, vectors, vectors, Fit(**budget, augmentation={"flip": "vertical", "shift": 0.1}), "fp32")


SIMPLE = st.none() | st.booleans() | st.integers(-3, 30) | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from(["name", "factor", "epochs", "momentum", "patience", "flip", "noise", "x"])
anything = st.recursive(
    SIMPLE | st.sampled_from(["sgd", "cosine"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
    max_leaves=6,
)
OPTIONS = ("optimizer", "schedule", "early_stopping", "augmentation", "class_weights")


@given(st.dictionaries(st.sampled_from(OPTIONS), anything, min_size=1))
def test_what_is_accepted_can_be_used_and_the_rest_is_told(asked: dict[str, Any]) -> None:
    try:
        budget = Fit(epochs=20, batch_size=8, **asked)
    except ValidationError as error:
        said = faults(error)
    else:
        said = ""
        assert float(optimizing.optimizer(keras, budget, 3).learning_rate) >= 0
    assert not said or any(name in said for name in (*asked, "schedule names epoch"))
