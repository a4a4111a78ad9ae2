"""Quality of one variant on the sealed test split, image by image beside the baseline."""

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from pipeline import admission, files, layout, remarks
from pipeline.findings import Refusal
from pipeline.logits import NotFinite, check, choices
from pipeline.paired import score_interval
from pipeline.runtimes import open_model
from pipeline.runtimes.predictor import Predictor
from pipeline.scorecard import Evaluation, Paired, Quality
from pipeline.splits import Split

BATCH = 256


def logits(predict: Predictor, images: np.ndarray, whose: str = "The model") -> np.ndarray:
    """Logits, float32 (N, classes), of images as stored in a split.

    Raises:
        NotFinite: a logit is NaN or infinite; the message says whose they are.
    """
    found = np.concatenate([predict(images[start : start + BATCH]) for start in range(0, len(images), BATCH)])
    check(found, whose)
    return found


def baseline_logits(name: str, predict: Predictor, images: np.ndarray) -> np.ndarray:
    """Logits of the variant that is the baseline.

    Raises:
        VariantRefused: one is NaN or infinite.
    """
    try:
        return logits(predict, images, name)
    except NotFinite as error:
        raise admission.baseline_refused(name, str(error)) from None


def control_logits(images: np.ndarray) -> tuple[np.ndarray | None, list[str]]:
    """Logits of the network `control`; none, and a note that says so, where it was not made or one is not finite."""
    reason = remarks.refusal(layout.exported("control"))
    if reason:
        return None, [f"What QAT gains beyond more training is unknown. {reason}"]
    try:
        return logits(open_model(layout.exported("control") / "model.onnx"), images, "The network control"), []
    except NotFinite as error:
        return None, [f"What QAT gains beyond more training is unknown. {error}"]


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
    confusion = confusion_matrix(test.labels, predicted, labels=range(variant.shape[1]))
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return Quality(
        top1=float(right.mean()),
        n=len(right),
        ci95=(float(interval.low), float(interval.high)),
        per_class_recall=[float(row[label] / row.sum()) for label, row in enumerate(confusion)],
        confusion=confusion.tolist(),
        vs_baseline=pair(test.labels, variant, baseline, classes),
        vs_control=None if control is None else pair(test.labels, variant, control, classes),
    )


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


def save(name: str, test: Split, variant: np.ndarray, card: Evaluation) -> None:
    """Write the card, the logits and the predictions of the variant called `name` where `layout` has them."""
    _save(name, variant, test.labels, choices(variant, name), card.model_dump_json(indent=1))


def save_refused(name: str, refusal: Refusal) -> None:
    """Write that the variant called `name` is refused as its card, with no logits and no predictions."""
    none = np.zeros(0, np.int64)
    _save(name, np.zeros((0, 0), np.float32), none, none, refusal.model_dump_json(indent=1))


def _save(name: str, variant: np.ndarray, actual: np.ndarray, predicted: np.ndarray, card: str) -> None:
    buffer = io.BytesIO()
    np.save(buffer, variant)
    predictions = pd.DataFrame({"actual": actual, "predicted": predicted})
    files.write_bytes(layout.logits(name), buffer.getvalue())
    files.write_text(layout.predictions(name), predictions.to_csv(index=False))
    files.write_text(layout.card(name), f"{card}\n")
