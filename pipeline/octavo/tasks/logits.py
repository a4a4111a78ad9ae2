"""Classification: a model chooses the class of the largest logit, where every logit is a finite number.

NumPy calls NaN the largest, and then the first of several: a network that is broken would choose class 0.
"""

import numpy as np

from octavo.project.errors import ModelError


class NotFinite(ModelError):
    """Logits are NaN or infinite, so that no class is chosen."""


def choices(logits: np.ndarray, whose: str) -> np.ndarray:
    """The chosen classes, int64 (N,), of logits (N, classes).

    Raises:
        NotFinite: a logit is NaN or infinite; the message says whose logits they are.
    """
    check(logits, whose)
    return np.asarray(logits.argmax(1))


def check(logits: np.ndarray, whose: str) -> None:
    """Refuse logits (N, classes) of which one is NaN or infinite.

    Raises:
        NotFinite: one is; the message says whose logits they are, and of how many images.
    """
    found = fault(logits, whose)
    if found:
        raise NotFinite(found)


def fault(logits: np.ndarray, whose: str) -> str | None:
    """What is wrong with logits (N, classes) of which one is NaN or infinite, as a sentence; None if all are finite."""
    lost = int(broken(logits).sum())
    if not lost:
        return None
    count = f"{lost:,} of {len(logits):,} images"
    return f"{whose} gives logits that are NaN or infinite for {count}: it chooses no class for them."


def broken(logits: np.ndarray) -> np.ndarray:
    """Which images, bool (N,), have a logit that is NaN or infinite."""
    return ~np.isfinite(logits).all(axis=tuple(range(1, logits.ndim)))


class Classification:
    """The task of this module, by the contract of `task`: the answer is the class of the largest logit."""

    name = "classification"
    loss = "sparse_categorical_crossentropy"
    metric = "accuracy"
    outputs = "a logit for each class"

    def answers(self, outputs: np.ndarray, whose: str) -> np.ndarray:
        """The chosen classes, as `choices`."""
        return choices(outputs, whose)

    def scores(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """1 where the class of the largest logit is the right one, else 0: float64 (N,)."""
        return ((outputs.argmax(1) == labels) & ~broken(outputs)).astype(np.float64)

    def same(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """For which images both choose the same class, bool (N,)."""
        return (outputs.argmax(1) == reference.argmax(1)) & ~broken(outputs) & ~broken(reference)

    def summary(self, scores: np.ndarray) -> float:
        """The share of right answers."""
        return float(scores.mean())


CLASSIFICATION = Classification()
