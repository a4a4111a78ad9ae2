"""A task of one output: its sign is the answer, for labels 0 and 1."""

import numpy as np

from octavo.tasks.logits import broken, check


class Sign:
    name = "sign"
    loss = "binary_crossentropy"
    metric = "accuracy"
    outputs = "one logit, positive for label 1"

    def answers(self, outputs: np.ndarray, whose: str) -> np.ndarray:
        check(outputs, whose)
        return np.asarray(outputs[:, 0] > 0, np.int64)

    def scores(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return (((outputs[:, 0] > 0) == labels) & ~broken(outputs)).astype(np.float64)

    def same(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray:
        equal = (outputs[:, 0] > 0) == (reference[:, 0] > 0)
        return np.asarray(equal & ~broken(outputs) & ~broken(reference))

    def summary(self, scores: np.ndarray) -> float:
        return float(scores.mean())
