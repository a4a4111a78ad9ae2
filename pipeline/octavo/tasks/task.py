"""The contract of a task: what a network's outputs mean, how one example is scored, and what sums the scores up.

A task that comes with Octavo has a name; one of your own is `module:Class`, a class without arguments. It needs no
base class: it has these attributes and methods.
"""

import importlib
from typing import Protocol

import numpy as np

from octavo.project import foreign_code
from octavo.project.errors import ParamsError
from octavo.tasks.logits import CLASSIFICATION


class Task(Protocol):
    """What every task offers. Outputs are float (N, ...), what a network gives for N examples; labels are (N,)."""

    name: str
    loss: str
    """What training minimizes, as Keras calls it."""
    metric: str
    """What `summary` is called."""
    outputs: str
    """What the outputs mean, as a clause: "a logit for each class"."""

    def answers(self, outputs: np.ndarray, whose: str) -> np.ndarray:
        """What the network says of each example, (N,).

        Raises:
            NotFinite: an output is NaN or infinite; the message says whose it is.
        """

    def scores(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """How right each example is, float64 (N,) in 0..1; 0 where an output is not finite."""

    def same(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """For which examples both give the same answer, bool (N,); where an output is not finite, they do not."""

    def summary(self, scores: np.ndarray) -> float:
        """One figure for all scores, 0..1, higher is better."""


KNOWN: dict[str, Task] = {CLASSIFICATION.name: CLASSIFICATION}
PARTS = ("name", "loss", "metric", "outputs", "answers", "scores", "same", "summary")


def load(name: str) -> Task:
    """The task called `name`, or the one that `module:Class` makes.

    Raises:
        ParamsError: there is no such task, its module cannot be imported, or it lacks a part of the contract.
    """
    if name in KNOWN:
        return KNOWN[name]
    module, separator, made = name.partition(":")
    if not separator:
        raise ParamsError(f"Unknown task '{name}'. Known: {', '.join(KNOWN)}, or module:Class of your own.")
    with foreign_code.code(f"Task '{name}' cannot be loaded"):
        task: Task = getattr(importlib.import_module(module), made)()
    if missing := [part for part in PARTS if not hasattr(task, part)]:
        raise ParamsError(f"Task '{name}' has no {' and no '.join(missing)}; every task has {', '.join(PARTS)}.")
    return task
