"""How near two models' logits are that should be equal: the links of the chain from fake quantization to INT8.

A network trained quantization-aware exists three times: with fake quantization in float, as INT8 in ONNX and as INT8
in LiteRT. Each should answer like the others. For Keras' own network stands the exported one, run in float: export
checks it against Keras, and on MNIST's test images both choose the same class 10,000 times of 10,000.
"""

import numpy as np

from octavo.evaluation.scorecard import Parity
from octavo.project.params.params import Params
from octavo.project.params.variants import VARIANT_NAME
from octavo.tasks.logits import CLASSIFICATION, check
from octavo.tasks.task import Task


def compare(logits: np.ndarray, reference: np.ndarray, step: float | None, task: Task = CLASSIFICATION) -> Parity:
    """Parity of `logits` with those of a reference.

    Args:
        logits: float32 (N, classes).
        reference: likewise, of the same images.
        step: the scale of the integers that `logits` are, or None.
        task: what they mean.

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
    """Variants that are to answer like the one called `name`: the same learned ranges, in another format."""
    source = params.variants[name].source
    if not params.is_quantization_aware(source):
        return []
    return [
        other
        for other, variant in params.variants.items()
        if variant.source == source and other != name and _kind(other) == _kind(name)
    ]


def _kind(name: str) -> tuple[str, str | None]:
    grammar = VARIANT_NAME.fullmatch(name)
    assert grammar, f"params.yaml was read with a variant named '{name}'"
    return grammar["precision"], grammar["method"]
