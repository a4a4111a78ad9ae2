"""A classifier measured on labelled images, alone or beside a baseline: rightness, bytes, latency, integers."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import confusion_matrix

from octavo.backends import latency as backends_latency
from octavo.backends import model_files
from octavo.backends.records import Latency, Proof
from octavo.evaluation import integer_coverage
from octavo.project.errors import ModelError
from octavo.tasks import classification
from octavo.tasks.logits import CLASSIFICATION
from octavo_mlflow.flavors.raw_model import Opened

DIGITS = 6
"""Shares are rounded to so many; latencies and their ratios come rounded."""
MODEL, BASELINE = "model", "baseline"


@dataclass(frozen=True)
class Measured:
    """What was found of one classifier."""

    figures: dict[str, float]
    """By the names that `terms.metrics` has; a share of integers that is unknown is not among them."""
    latency: dict[str, Latency]
    """Of `model`, and of `baseline` where there is one."""
    proof: Proof
    unknown: tuple[str, ...]
    """The shares of integers that cannot be told."""
    confusion: np.ndarray
    """(classes, classes) counts: rows are the actual class, columns the predicted one."""


def measure(model: Opened, baseline: Opened | None, images: np.ndarray, labels: np.ndarray, rounds: int) -> Measured:
    """Measure `model` over images (N, ...), whose classes are `labels`, (N,) numbers of its scores.

    Raises:
        ModelError: one of the two does not classify such images, or gives logits that are NaN or infinite.
    """
    both = {MODEL: model} | ({BASELINE: baseline} if baseline else {})
    logits = {name: opened.logits(images) for name, opened in both.items()}
    predicted = {name: CLASSIFICATION.answers(each, both[name].path.name) for name, each in logits.items()}
    classes = logits[MODEL].shape[1]
    if any(each.shape[1] != classes for each in logits.values()):
        raise ModelError(f"{baseline and baseline.path} does not tell {classes} classes apart.")
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
        confusion=confusion_matrix(labels, predicted[MODEL], labels=range(classes)),
    )


def _latency(both: dict[str, Opened], images: np.ndarray, rounds: int) -> dict[str, Latency]:
    """Of one image a call, or of as many as a file insists on."""
    batches = {opened.batch for opened in both.values() if opened.batch}
    if len(batches) > 1:
        raise ModelError(f"The two models take {' and '.join(map(str, batches))} images a call: no latency compares.")
    return backends_latency.measure(
        both, BASELINE if BASELINE in both else MODEL, images, max(batches, default=1), rounds
    )
