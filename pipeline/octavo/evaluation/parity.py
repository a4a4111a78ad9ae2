"""Compare the logits of models that should be equal, from fake quantization to INT8.

A quantization-aware network exists in three forms: with fake quantization in float, as INT8 in ONNX and as INT8 in
LiteRT. All three should give the same outputs. The exported network, run in float, represents the Keras network: export
compares the two, and on MNIST they predict the same class for all 10,000 test images.

Which kernels computed the logits is part of the result: the same integers in the same file give other logits with other
kernels, which round sums in another way.
"""

import numpy as np

from octavo.evaluation.scorecard import Parity
from octavo.tasks.logits import CLASSIFICATION, check
from octavo.tasks.task import Task

SAME = 1e-3
"""Steps by which two logits of the same integer may differ, because their scales differ in the last digits."""


def compare(
    logits: np.ndarray,
    reference: np.ndarray,
    step: float | None,
    task: Task = CLASSIFICATION,
    kernels: tuple[str | None, str | None] = (None, None),
) -> Parity:
    """Compare logits with those of a reference.

    Args:
        logits: float32 (N, classes).
        reference: float32 (N, classes), of the same images.
        step: the scale of the integers that `logits` come from, or None if they were computed in float.
        task: defines when two outputs mean the same answer.
        kernels: names of those that computed the logits, and of those that computed the reference.

    Raises:
        NotFinite: a logit is NaN or infinite.
    """
    check(logits, "The variant")
    check(reference, "Its reference")
    differences = np.abs(logits - reference)
    return Parity(
        top1=int(task.same(logits, reference).sum()),
        n=len(logits),
        identical=float((logits == reference).all(1).mean()),
        largest=float(differences.max(initial=0) / (step or 1)),
        step=step,
        equal=int((differences <= SAME * (step or 0)).sum()),
        values=logits.size,
        kernels=kernels[0],
        reference_kernels=kernels[1],
    )
