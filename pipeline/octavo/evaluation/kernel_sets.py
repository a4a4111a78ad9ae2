"""The same file computed by other kernels: how many of its outputs and answers stay the same."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from octavo.backends import registry
from octavo.backends.predictor import Predictor
from octavo.evaluation import parity
from octavo.evaluation.scorecard import Evaluation, Parity
from octavo.tasks.logits import fault

COST = 2_000_000_000
"""Multiply-accumulates that other kernels may spend on all images: a few seconds."""
READING = 10
"""Cost of one value of an image, in multiply-accumulates."""
LEAST = 100
"""Images that they are run on at least."""


def default(path: Path, fed: np.ndarray) -> str | None:
    """The kernels that compute a file for images in its input encoding; None if they have no name.

    Raises:
        ModelError: the file cannot be read.
    """
    kernels = registry.backend_of(path).kernels
    return kernels(path, fed) if kernels else None


def others(
    card: Evaluation, path: Path, predict: Predictor, images: np.ndarray, logits: np.ndarray
) -> tuple[dict[str, Parity], list[str]]:
    """Other kernels -> the outputs of a variant compared with theirs; and a note for each that gives none.

    A variant that computes nothing in integers is not compared: other kernels sum the same floats in another order.
    They are slow, so they get the first images only, as many as `COST` allows.

    Args:
        card: of the variant, with the parity of its default kernels.
        path: its file.
        predict: the same file, opened.
        images: the test images (N, …), as stored in a split.
        logits: of the default kernels, float32 (N, classes).

    Raises:
        ModelError: the file cannot be read.
    """
    backend, usual = registry.backend_of(path), card.parity["network"]
    if backend.other_kernels is None or not (usual.step or card.proof.integer_compute_share):
        return {}, []
    n = _affordable([operator.macs for operator in backend.operators(path, predict.feed(images[:1]))], images)
    compared: dict[str, Parity] = {}
    notes = []
    for kernels, found in backend.other_kernels(path, predict.feed(images[:n])).items():
        if isinstance(found, str):
            notes.append(f"There are no figures of {kernels}: {found}.")
        elif found.shape != logits[:n].shape:
            notes.append(f"There are no figures of {kernels}: the outputs have the shape {found.shape}.")
        elif lost := fault(found, kernels):
            notes.append(lost)
        else:
            compared[kernels] = parity.compare(logits[:n], found, usual.step, kernels=(usual.kernels, kernels))
    return compared, notes


def _affordable(costs: Sequence[int | None], images: np.ndarray) -> int:
    """The number of images that `COST` allows, at least `LEAST`.

    Args:
        costs: multiply-accumulates of each operator for one image; None if they are unknown.
        images: (N, …).
    """
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return LEAST
    return max(LEAST, COST // (sum(known) + READING * images[0].size))
