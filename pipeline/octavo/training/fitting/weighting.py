"""How much examples of each class count in the loss."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from octavo.project.errors import ParamsError, known_are


def of_classes(
    asked: Mapping[str, float] | Literal["balanced"] | None, labels: np.ndarray, classes: Sequence[str]
) -> dict[int, float] | None:
    """Weight of each class in the loss, by its label.

    Args:
        asked: weights by the classes' names; or `balanced`: a class of `n` of all N examples in k classes weighs
            N / (k n), as in King and Zeng, Logistic Regression in Rare Events Data, 2001.
        labels: (N,) of the training examples, from 0 to the number of classes minus one.
        classes: names of all classes.

    Returns:
        None if all examples count alike.

    Raises:
        ParamsError: there is no class of that name.
    """
    if asked is None:
        return None
    if asked == "balanced":
        counts = np.bincount(labels, minlength=len(classes))
        each = len(labels) / np.count_nonzero(counts)
        return {label: each / count if count else 1.0 for label, count in enumerate(counts.tolist())}
    if unknown := [name for name in asked if name not in classes]:
        raise ParamsError(f"class_weights names '{unknown[0]}'.{known_are(unknown[0], list(classes))}")
    return {label: float(asked.get(name, 1)) for label, name in enumerate(classes)}
