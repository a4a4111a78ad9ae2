"""Compare the logits of models that should be equal, from fake quantization to INT8.

A quantization-aware network exists in three forms: with fake quantization in float, as INT8 in ONNX and as INT8 in
LiteRT. All three should give the same outputs. The exported network, run in float, represents the Keras network: export
compares the two, and on MNIST they predict the same class for all 10,000 test images.
"""

import numpy as np

from octavo.evaluation.scorecard import Parity
from octavo.project.params.params import Params
from octavo.project.params.variants import CONVERTED
from octavo.tasks.logits import CLASSIFICATION, check
from octavo.tasks.task import Task


def compare(logits: np.ndarray, reference: np.ndarray, step: float | None, task: Task = CLASSIFICATION) -> Parity:
    """Compare logits with those of a reference.

    Args:
        logits: float32 (N, classes).
        reference: float32 (N, classes), of the same images.
        step: the scale of the integers that `logits` come from, or None if they were computed in float.
        task: defines when two outputs mean the same answer.

    Raises:
        NotFinite: a logit is NaN or infinite.
    """
    check(logits, "The variant")
    check(reference, "Its reference")
    return Parity(
        top1=int(task.same(logits, reference).sum()),
        n=len(logits),
        identical=float((logits == reference).all(1).mean()),
        largest=float(np.abs(logits - reference).max(initial=0) / (step or 1)),
        step=step,
    )


def counterparts(name: str, params: Params) -> list[str]:
    """Variants that should give the same outputs as `name`: those with the same learned ranges.

    Their files are in another format, or one of two in the same format is by TensorFlow's converter.
    """
    source = params.variants[name].source
    if not params.is_quantization_aware(source):
        return []
    return [
        other
        for other, variant in params.variants.items()
        if variant.source == source and other != name and _kind(other) == _kind(name)
    ]


def _kind(name: str) -> str:
    """Precision and method, whatever the format and whatever writes it."""
    return name.partition("_")[2].removesuffix(CONVERTED)
