"""Classification: each example has one right class, and the largest logit is the answer."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from octavo.data.splits import Split
from octavo.statistics.paired_proportions import score_interval
from octavo.tasks.logits import choices
from octavo.tasks.quality import Paired, Quality


def judge(
    test: Split,
    variant: np.ndarray,
    baseline: np.ndarray,
    control: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
) -> Quality:
    """Quality of the logits `variant` over `test`, paired with those of the baseline and, where given, the control.

    All logits are (N, classes), in the order of `test`; `classes` names them, by number if not given.

    Raises:
        NotFinite: a logit is NaN or infinite.
    """
    predicted = choices(variant, "The variant")
    right = predicted == test.labels
    counts = confusion(test.labels, predicted, variant.shape[1])
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return Quality(
        top1=float(right.mean()),
        n=len(right),
        ci95=(float(interval.low), float(interval.high)),
        per_class_recall=[float(row[label] / row.sum()) for label, row in enumerate(counts)],
        confusion=counts.tolist(),
        vs_baseline=pair(test.labels, variant, baseline, classes),
        vs_control=None if control is None else pair(test.labels, variant, control, classes),
    )


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How many examples there are of each actual class and each predicted one, int64 (classes, classes).

    Args:
        labels: (N,) the actual classes, which are the rows; those not below `classes` are left out.
        predicted: (N,) the predicted classes, which are the columns, each below `classes`.
        classes: how many there are.
    """
    known = labels < classes
    cells = labels[known].astype(np.int64) * classes + predicted[known]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def pair(
    labels: np.ndarray, variant: np.ndarray, reference: np.ndarray, classes: Sequence[str] | None = None
) -> Paired:
    """One variant against a reference over the same images, in all and class by class.

    Args:
        labels: (N,) the actual classes, 0 to the number of classes less one.
        variant: (N, classes) logits.
        reference: (N, classes) logits.
        classes: their names in label order; by default their numbers.

    Raises:
        NotFinite: a logit is NaN or infinite.
    """
    predicted, expected = choices(variant, "The variant"), choices(reference, "The reference")
    right, reference_right = predicted == labels, expected == labels
    broke, fixed = reference_right & ~right, right & ~reference_right
    names = classes or [str(label) for label in range(variant.shape[1])]
    counts = (np.bincount(labels[which], minlength=len(names)).tolist() for which in (broke, fixed, slice(None)))
    lost, won = int(broke.sum()), int(fixed.sum())
    return Paired(
        delta=(won - lost) / len(labels),
        ci=score_interval(lost, won, len(labels)),
        broke=lost,
        fixed=won,
        agreement=float((predicted == expected).mean()),
        per_class=dict(zip(names, zip(*counts, strict=True), strict=True)),
    )
