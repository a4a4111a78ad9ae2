"""Quality of a classifier: each example has one correct class, and the largest logit is the prediction."""

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
    """Quality of a variant on the test split, with paired comparisons to the baseline and to the control.

    The interval of top-1 is Wilson's (E. B. Wilson, Journal of the American Statistical Association 22 (1927),
    209-212).

    Args:
        test: the test split, N images.
        variant: float32 (N, classes) logits, in the order of `test`.
        baseline: likewise.
        control: likewise; None if there is no control.
        classes: names in label order; by default their numbers.

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
        per_class_recall=[float(row[label] / max(1, row.sum())) for label, row in enumerate(counts)],
        confusion=counts.tolist(),
        vs_baseline=pair(test.labels, variant, baseline, classes),
        vs_control=None if control is None else pair(test.labels, variant, control, classes),
    )


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix: number of examples for each actual class (row) and predicted class (column).

    Args:
        labels: integers (N,), the actual classes. Examples with a label of `classes` or more are ignored.
        predicted: integers (N,), the predicted classes, each below `classes`.
        classes: number of classes.

    Returns:
        int64 (classes, classes).
    """
    known = labels < classes
    cells = labels[known].astype(np.int64) * classes + predicted[known]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def pair(
    labels: np.ndarray, variant: np.ndarray, reference: np.ndarray, classes: Sequence[str] | None = None
) -> Paired:
    """Compare a variant with a reference over the same images, in total and per class.

    Args:
        labels: integers (N,), the actual classes, each from 0 to the number of classes minus one.
        variant: float32 (N, classes) logits.
        reference: float32 (N, classes) logits.
        classes: names in label order; by default their numbers.

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
