"""Twins: two variants with the same integers, mostly of different formats. Found by what the files hold, not by names.

Two files have the same integers if they store the same weights, in any order and layout, and round what they compute to
the same steps. Formats store the same weights in different ways. So these do not count: how often a constant is stored;
zeros, because some formats fill up with them; constants of one value, such as those of an average, because some formats
have an operator for them; the offset between int8 and uint8; and a common divisor of a channel's integers, because its
scale makes up for it.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from octavo.backends import registry
from octavo.backends.records import Integers
from octavo.evaluation import parity
from octavo.evaluation.scorecard import Evaluation, Parity
from octavo.onnx_graph.integer_ranges import Stored
from octavo.project.files import damage

ROUNDING = 1e-6
"""Relative difference of two scales that are the same number, computed in float32 in two ways."""

PRESCRIBED = (2**-8, 2**-7)
"""Steps that LiteRT prescribes for the outputs of sigmoid and softmax, and of tanh."""
WIDER = 256 / 255 * (1 + ROUNDING)
"""A range of 255 steps that ends where one of 256 prescribed steps ends has this step, in prescribed steps."""


@damage.told
def integers(path: Path) -> Integers:
    """What the file of a variant is recognised by.

    Raises:
        ModelError: the file cannot be read.
    """
    backend = registry.backend_of(path)
    stored = backend.stored_integers(path)
    weights = {_weights(each) for each in stored.constants}
    return Integers(
        weights=sorted(each for each in weights if each is not None),
        output_step=backend.output_step(path),
        steps=sorted(map(float, stored.steps)),
    )


def _weights(stored: Stored) -> tuple[str, float] | None:
    """A digest of the integers without order, and the norm of the values that they stand for. None for one value."""
    found = stored.integers.astype(np.int32) - stored.zero.astype(np.int32)
    scale = np.asarray(stored.scale, np.float64)
    coprime = (found // _divisors(found, scale))[found != 0]
    if not (coprime != coprime[:1]).any():
        return None
    digest = hashlib.sha256(np.sort(coprime, axis=None).astype("<i4").tobytes()).hexdigest()
    return digest, float(np.linalg.norm((found * scale).ravel()))


def _divisors(found: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The greatest common divisor of all integers of the same scale, of a shape that goes with the integers'."""
    axes = tuple(axis for axis in range(found.ndim) if scale.ndim == 0 or scale.shape[axis] == 1)
    channels = np.gcd.reduce(found, axis=axes, keepdims=True)
    scales, which = np.unique(np.broadcast_to(scale, channels.shape), return_inverse=True)
    whole = np.zeros(len(scales), channels.dtype)
    np.gcd.at(whole, which.ravel(), channels.ravel())
    return np.maximum(whole[which.ravel()], 1).reshape(channels.shape)


def are_twins(one: Evaluation, other: Evaluation) -> bool:
    """Whether two files have the same integers. A file is no twin of itself."""
    mine, theirs = one.integers, other.integers
    if mine is None or theirs is None or one.model.sha256 == other.model.sha256:
        return False
    return (
        bool(mine.weights)
        and _are_in(mine.weights, theirs.weights)
        and _are_in(theirs.weights, mine.weights)
        and _have_same_steps(mine, theirs)
        and bool(one.proof.integer_compute_share) == bool(other.proof.integer_compute_share)
    )


def _are_in(some: Sequence[tuple[str, float]], others: Sequence[tuple[str, float]]) -> bool:
    """Whether all of these weights are also among the others."""
    return all(any(digest == each[0] and _close(norm, each[1]) for each in others) for digest, norm in some)


def _have_same_steps(mine: Integers, theirs: Integers) -> bool:
    """Whether the outputs have the same step or none, and one file fixes all steps of the other.

    It may fix more: a format rounds in between where another computes at once.
    """
    if mine.output_step is None or theirs.output_step is None:
        ends = mine.output_step is theirs.output_step
    else:
        ends = _close(mine.output_step, theirs.output_step)
    within = not _lacking(mine.steps, theirs.steps) or not _lacking(theirs.steps, mine.steps)
    return ends and within and bool(mine.steps) == bool(theirs.steps)


def _lacking(some: Sequence[float], others: Sequence[float]) -> list[float]:
    """The steps that the others lack. A prescribed step may take the place of a narrower one."""
    widest = WIDER * max((step for step in PRESCRIBED if step in others), default=0)
    asked = [step for step in some if step not in PRESCRIBED and step > widest]
    return [step for step in asked if not any(_close(step, each) for each in others)]


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=ROUNDING)


def beside_twins(
    name: str, measured: Mapping[str, Evaluation], logits: Callable[[str], np.ndarray]
) -> dict[str, Parity]:
    """Twin of a variant -> the outputs of the variant compared with the twin's.

    Args:
        name: of the variant.
        measured: all variants that were evaluated on the same images.
        logits: variant -> its logits on them, float32 (N, classes).
    """
    card = measured[name]
    twins = [other for other, each in measured.items() if are_twins(card, each)]
    step = card.integers.output_step if card.integers else None
    pairs = ((other, (_kernels(card), _kernels(measured[other]))) for other in twins)
    return {other: parity.compare(logits(name), logits(other), step, kernels=kernels) for other, kernels in pairs}


def _kernels(card: Evaluation) -> str | None:
    return card.parity["network"].kernels if "network" in card.parity else None
