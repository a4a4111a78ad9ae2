"""Quality of one variant on the sealed test split, image by image beside the baseline."""

import io

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from pipeline import files, layout
from pipeline.paired import score_interval
from pipeline.runtimes.predictor import Predictor
from pipeline.scorecard import Evaluation, Paired, Quality
from pipeline.splits import Split

BATCH = 256


def logits(predict: Predictor, images: np.ndarray) -> np.ndarray:
    """Logits, float32 (N, classes), of images as stored in a split."""
    return np.concatenate([predict(images[start : start + BATCH]) for start in range(0, len(images), BATCH)])


def judge(test: Split, variant: np.ndarray, baseline: np.ndarray, control: np.ndarray | None = None) -> Quality:
    """Quality of the logits `variant` over `test`, paired with those of the baseline and, where given, the control.

    All logits are (N, classes), in the order of `test`.
    """
    predicted = variant.argmax(1)
    right = predicted == test.labels
    confusion = confusion_matrix(test.labels, predicted, labels=range(variant.shape[1]))
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return Quality(
        top1=float(right.mean()),
        n=len(right),
        ci95=(float(interval.low), float(interval.high)),
        per_class_recall=[float(row[label] / row.sum()) for label, row in enumerate(confusion)],
        confusion=confusion.tolist(),
        vs_baseline=_pair(test.labels, predicted, baseline.argmax(1)),
        vs_control=None if control is None else _pair(test.labels, predicted, control.argmax(1)),
    )


def save(name: str, test: Split, variant: np.ndarray, card: Evaluation) -> None:
    """Write the card, the logits and the predictions of the variant called `name` where `layout` has them."""
    buffer = io.BytesIO()
    np.save(buffer, variant)
    predictions = pd.DataFrame({"actual": test.labels, "predicted": variant.argmax(1)})
    files.write_bytes(layout.logits(name), buffer.getvalue())
    files.write_text(layout.predictions(name), predictions.to_csv(index=False))
    files.write_text(layout.card(name), card.model_dump_json(indent=1) + "\n")


def _pair(labels: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> Paired:
    right, reference_right = predicted == labels, reference == labels
    broke = int((reference_right & ~right).sum())
    fixed = int((right & ~reference_right).sum())
    return Paired(
        delta=(fixed - broke) / len(labels),
        ci=score_interval(broke, fixed, len(labels)),
        broke=broke,
        fixed=fixed,
        agreement=float((predicted == reference).mean()),
    )
