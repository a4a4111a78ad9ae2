"""The class that a model chooses: that of the largest logit, where every logit is a finite number.

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


def agreement(logits: np.ndarray, reference: np.ndarray) -> float:
    """Share of images for which both, (N, classes) each, choose the same class; where one is not finite, none does."""
    same = logits.argmax(1) == reference.argmax(1)
    return float((same & ~broken(logits) & ~broken(reference)).mean())
