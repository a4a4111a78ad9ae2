"""Train a network with the same bytes as result in every process, and save its weights and its curve."""

import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from octavo.data.input_encoding import IMAGES, encode
from octavo.data.splits import Split
from octavo.project import foreign_code, story
from octavo.project.errors import ModelError
from octavo.project.files import csv_file
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.training import Fit
from octavo.training.fitting import augmentation, library, optimizing

Curve = Mapping[str, Sequence[float]]
"""`loss`, `accuracy`, `val_loss` and `val_accuracy` -> one figure per epoch; `val_` is the selection split."""
BETTER = {"loss": ("val_loss", "min"), "accuracy": ("val_accuracy", "max")}
"""By what an epoch is better -> the figure in the curve, and whether it should be small or large."""


def pin(seed: int, threads: int) -> None:
    """Seed every generator and pin TensorFlow to deterministic kernels on `threads` threads.

    Call this before TensorFlow runs its first operation. Weights depend on the number of threads, but not on the
    machine's load.
    """
    library.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def fit(  # noqa: PLR0913 - a training has many conditions
    model: Any,
    train: Split,
    selection: Split,
    budget: Fit,
    label: str,
    encoding: InputEncoding = IMAGES,
    *,
    weights: Mapping[int, float] | None = None,
) -> Curve:
    """Train `model` in place on sparse categorical cross-entropy from logits.

    Training stops if the loss is not finite. With `early_stopping`, the model has the weights of the best epoch.

    Args:
        model: from float32 images (N, H, W[, C]) to logits (N, classes).
        train: the images and labels to train on.
        selection: the images and labels of the validation figures.
        budget: how it is trained.
        label: name of the training run in messages.
        encoding: of the network's input.
        weights: label of a class -> how much its examples count in the loss; 1 where none is given.

    Returns:
        The curve.

    Raises:
        ModelError: the network cannot be run, or a loss or a weight became NaN or infinite.
        ParamsError: the augmentation is not for such examples.
    """
    if budget.batch_size > len(train.labels):
        story.say(
            f"{label}: batch_size is {budget.batch_size:,}, but there are only {len(train.labels):,} training images, "
            "so each epoch is one step."
        )
    keras, steps = library.of(model), math.ceil(len(train.labels) / budget.batch_size)
    examples = _examples(train, budget, steps, encoding, weights)
    model.compile(
        optimizer=optimizing.optimizer(keras, budget, steps),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    with foreign_code.code(f"Training '{label}' of network '{model.name}' fails", ModelError):
        history = model.fit(
            **examples,
            epochs=budget.epochs,
            validation_data=(encode(selection.images, encoding), selection.labels),
            validation_batch_size=budget.batch_size,
            callbacks=[_EpochBar(label), *_stopping(keras, budget)],
            verbose=0,
        )
    curve: Curve = history.history
    _refuse_what_diverged(model, curve, budget, label)
    return curve


def _examples(
    train: Split, budget: Fit, steps: int, encoding: InputEncoding, weights: Mapping[int, float] | None
) -> dict[str, Any]:
    """What the model is trained on, as arguments of its `fit`: all examples, or batches of changed ones.

    Args:
        train: the images and labels.
        budget: how it is trained.
        steps: of each epoch.
        encoding: of the network's input.
        weights: as for `fit`.
    """
    if budget.augmentation:
        batches = augmentation.batches(train, budget.augmentation, budget.batch_size, encoding, weights)
        return {"x": batches, "steps_per_epoch": steps, "shuffle": False}  # they are in a random order already
    examples = encode(train.images, encoding)
    return {"x": examples, "y": train.labels, "batch_size": budget.batch_size, "class_weight": weights}


def _stopping(keras: Any, budget: Fit) -> list[Any]:
    if not budget.early_stopping:
        return []
    asked, (monitor, mode) = budget.early_stopping, BETTER[budget.early_stopping.by]
    stop = keras.callbacks.EarlyStopping(monitor, patience=asked.patience, mode=mode, restore_best_weights=True)
    return [stop]


def kept_epoch(curve: Curve, budget: Fit) -> int:
    """Index of the epoch whose weights are kept: the first of the best ones with `early_stopping`, else the last."""
    if not budget.early_stopping:
        return len(curve["loss"]) - 1
    monitor, mode = BETTER[budget.early_stopping.by]
    best = min(curve[monitor]) if mode == "min" else max(curve[monitor])
    return list(curve[monitor]).index(best)


def _refuse_what_diverged(model: Any, curve: Curve, budget: Fit, label: str) -> None:
    broken = [weight.name for weight in model.weights if not np.isfinite(weight.numpy()).all()]
    if broken or not np.isfinite([figures[-1] for figures in curve.values()]).all():
        where = f"{len(broken)} of {len(model.weights)} weights" if broken else "the loss"
        epoch = len(curve["loss"])
        raise ModelError(
            f"Training '{label}' diverged in epoch {epoch} of {budget.epochs}: {where} became NaN or infinite. "
            f"Nothing is saved. Set a learning_rate below {budget.learning_rate:g} in params.yaml."
        )


def save(model: Any, curve: Curve, folder: Path) -> None:
    """Replace `folder` by a new one with `weights.h5` and `curve.csv`. Their bytes do not depend on the time.

    Args:
        model: whose weights are saved.
        curve: the result of `fit`.
        folder: where the files go; an existing folder is deleted first.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    library.save_weights(model, folder / "weights.h5")
    epochs = zip(*curve.values(), strict=True)
    table = csv_file.text(("epoch", *curve), ((epoch, *figures) for epoch, figures in enumerate(epochs)))
    (folder / "curve.csv").write_text(table, encoding="utf-8")


def restore(model: Any, weights: Path) -> Any:
    """Load the file `weights` into `model`, in place, and return it. The same code must have built the model.

    Raises:
        ModelError: the file is missing or belongs to another network.
    """
    try:
        library.load_weights(model, weights)
    except (OSError, ValueError) as error:
        raise ModelError(f"{weights} does not fit network '{model.name}': {error}. Run dvc repro.") from None
    return model


class _EpochBar(tf_keras.callbacks.Callback):
    """For both libraries. Shows the number of steps, and stops the training if the loss is not finite."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self._label = label
        self._shown = ExitStack()

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        steps = self.params["epochs"] * self.params["steps"]
        self._advance = self._shown.enter_context(story.counter(f"train {self._label}", steps))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._advance()
        if not np.isfinite((logs or {}).get("loss", 0.0)):
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self._shown.close()
