"""The contract of a task: what a network's outputs mean, how an example is scored, and how scores are summarized.

Octavo's own tasks have a name. Your own task is `module:Class`, where the class takes no arguments. It needs no base
class, only these attributes and methods.
"""

import importlib
from typing import Protocol

import numpy as np

from octavo.project import foreign_code
from octavo.project.errors import ParamsError
from octavo.tasks.logits import CLASSIFICATION


class Task(Protocol):
    """What every task provides. Outputs are a network's float (N, ...) for N examples; labels are integers (N,)."""

    name: str
    loss: str
    """Keras' name of the loss that training minimizes."""
    metric: str
    """Name of the figure that `summary` returns."""
    outputs: str
    """Meaning of the outputs, as a noun phrase: "a logit for each class"."""

    def answers(self, outputs: np.ndarray, whose: str) -> np.ndarray:
        """The network's answer for each example, (N,). `whose` names the network in the error message.

        Raises:
            NotFinite: an output is NaN or infinite.
        """

    def scores(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """A score for each example, float64 (N,) in 0..1, 1 is best; 0 if an output is not finite."""

    def same(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """For which examples both networks give the same answer, bool (N,); False if an output is not finite."""

    def summary(self, scores: np.ndarray) -> float:
        """One figure for all scores, in 0..1, where higher is better."""


KNOWN: dict[str, Task] = {CLASSIFICATION.name: CLASSIFICATION}
"""Octavo's own tasks by name."""
PARTS = ("name", "loss", "metric", "outputs", "answers", "scores", "same", "summary")


def load(name: str) -> Task:
    """The task called `name`, or a new instance of the class in `module:Class`.

    Raises:
        ParamsError: there is no such task, its module cannot be imported, or the class lacks a part of the contract.
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
