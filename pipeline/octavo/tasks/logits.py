"""Classification: the prediction is the class of the largest logit. Every logit must be finite.

NumPy treats NaN as the largest number and returns the first one. So a broken network would always predict class 0.
"""

import numpy as np

from octavo.project.errors import ModelError


class NotFinite(ModelError):
    """Logits are NaN or infinite, so there is no prediction."""


def rows(outputs: np.ndarray) -> np.ndarray:
    """Outputs (N, …) with one axis for the classes, as (N, classes). A convolution as head gives (N, classes, 1, 1).

    Outputs with several larger axes stay as they are.
    """
    larger = sum(size > 1 for size in outputs.shape[1:])
    return outputs.reshape(len(outputs), -1) if outputs.ndim > 2 and larger <= 1 else outputs


def choices(logits: np.ndarray, whose: str) -> np.ndarray:
    """The predicted classes, int64 (N,), for logits, float32 (N, classes). `whose` names the model in errors.

    Raises:
        NotFinite: a logit is NaN or infinite.
    """
    check(logits, whose)
    return np.asarray(logits.argmax(1))


def check(logits: np.ndarray, whose: str) -> None:
    """Check that all logits, float32 (N, classes), are finite. `whose` names the model in the error message.

    Raises:
        NotFinite: a logit is NaN or infinite. The message has the number of affected images.
    """
    found = fault(logits, whose)
    if found:
        raise NotFinite(found)


def fault(logits: np.ndarray, whose: str) -> str | None:
    """The error message of `check` for these logits; None if all are finite."""
    lost = int(broken(logits).sum())
    if not lost:
        return None
    count = f"{lost:,} of {len(logits):,} images"
    return f"{whose} gives logits that are NaN or infinite for {count}, so these have no predicted class."


def broken(logits: np.ndarray) -> np.ndarray:
    """Which examples, bool (N,), have a logit that is NaN or infinite. `logits` are float (N, ...)."""
    return ~np.isfinite(logits).all(axis=tuple(range(1, logits.ndim)))


class Classification:
    """Classification as a `Task`: the answer is the class of the largest logit."""

    name = "classification"
    loss = "sparse_categorical_crossentropy"
    metric = "accuracy"
    outputs = "a logit for each class"

    def answers(self, outputs: np.ndarray, whose: str) -> np.ndarray:
        """The predicted classes, int64 (N,). Arguments and errors are those of `choices`."""
        return choices(outputs, whose)

    def scores(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """float64 (N,): 1 if the prediction is correct, else 0; 0 also if a logit is not finite."""
        return ((outputs.argmax(1) == labels) & ~broken(outputs)).astype(np.float64)

    def same(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """For which examples both have the same predicted class, bool (N,); False if a logit is not finite."""
        return (outputs.argmax(1) == reference.argmax(1)) & ~broken(outputs) & ~broken(reference)

    def summary(self, scores: np.ndarray) -> float:
        """Accuracy: the share of correct predictions."""
        return float(scores.mean())


CLASSIFICATION = Classification()
