"""Measure a classifier on labelled images, alone or beside a baseline: accuracy, bytes, latency, integer shares."""

from dataclasses import dataclass

import numpy as np

from octavo.backends import latency as backends_latency
from octavo.backends import model_files
from octavo.backends.records import Latency, Proof
from octavo.evaluation import integer_coverage
from octavo.project.errors import ModelError
from octavo.tasks import classification
from octavo.tasks.logits import CLASSIFICATION
from octavo_mlflow.flavors.raw_model import Opened

DIGITS = 6
"""Decimals of shares. Latencies and their ratios are rounded where they are measured."""
MODEL, BASELINE = "model", "baseline"


@dataclass(frozen=True)
class Measured:
    """The measurements of one classifier."""

    figures: dict[str, float]
    """By the names of `tags.metrics`. Unknown integer shares are left out."""
    latency: dict[str, Latency]
    """Of `model`, and of `baseline` if there is one."""
    proof: Proof
    unknown: tuple[str, ...]
    """The integer shares that are unknown."""
    confusion: np.ndarray
    """Counts (classes, classes): rows are the actual class, columns the predicted one."""


def measure(model: Opened, baseline: Opened | None, images: np.ndarray, labels: np.ndarray, rounds: int) -> Measured:
    """Measure `model`, and compare it with `baseline` if there is one.

    Args:
        model: the classifier.
        baseline: the classifier to compare with, or None.
        images: (N, ...), in either encoding.
        labels: (N,), integers: the index of the right score.
        rounds: of the latency measurement.

    Raises:
        ModelError: one of the two does not classify such images, or returns logits that are NaN or infinite.
    """
    both = {MODEL: model} | ({BASELINE: baseline} if baseline else {})
    logits = {name: opened.logits(images) for name, opened in both.items()}
    predicted = {name: CLASSIFICATION.answers(each, both[name].path.name) for name, each in logits.items()}
    classes = logits[MODEL].shape[1]
    if any(each.shape[1] != classes for each in logits.values()):
        raise ModelError(
            f"The model has {classes} classes, the baseline {baseline and baseline.path} has another number."
        )
    if not 0 <= labels.min() <= labels.max() < classes:
        raise ModelError(
            f"Targets are {labels.min()} to {labels.max()}; {model.path.name} has classes 0 to {classes - 1}."
        )
    latency = _latency(both, images, rounds)
    found = integer_coverage.prove(model.path)
    size = model_files.size(model.path)
    figures: dict[str, float] = {
        "accuracy": CLASSIFICATION.summary(CLASSIFICATION.scores(logits[MODEL], labels)),
        "size_bytes": size,
        "latency_us": latency[MODEL].p50_us,
        "latency_us_p90": latency[MODEL].p90_us,
    }
    shares = {
        "integer_weight_share": found.integer_weight_share,
        "integer_compute_share": found.integer_compute_share,
    }
    figures |= {name: share for name, share in shares.items() if share is not None}
    if baseline:
        paired = classification.pair(labels, logits[MODEL], logits[BASELINE])
        figures |= {
            "accuracy_delta": paired.delta,
            "agreement": paired.agreement,
            "size_ratio": size / model_files.size(baseline.path),
            "latency_ratio": latency[MODEL].ratio,
        }
    return Measured(
        figures={name: round(value, DIGITS) for name, value in figures.items()},
        latency=latency,
        proof=found,
        unknown=tuple(name for name, share in shares.items() if share is None),
        confusion=classification.confusion(labels, predicted[MODEL], classes),
    )


def _latency(both: dict[str, Opened], images: np.ndarray, rounds: int) -> dict[str, Latency]:
    """Latency of one image per call, or of the batch that a file requires."""
    batches = {opened.batch for opened in both.values() if opened.batch}
    if len(batches) > 1:
        raise ModelError(
            f"The two models take {' and '.join(map(str, batches))} images per call: no latencies can be compared."
        )
    return backends_latency.measure(
        both, BASELINE if BASELINE in both else MODEL, images, max(batches, default=1), rounds
    )
