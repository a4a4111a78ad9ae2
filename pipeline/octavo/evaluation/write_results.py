"""Quality of one variant on the sealed test split, image by image beside the baseline."""

import io

import numpy as np
import pandas as pd

from octavo.backends import acceptance_record, network_notes
from octavo.backends.predictor import Predictor, logits
from octavo.backends.records import Refusal
from octavo.backends.registry import open_model
from octavo.data.splits import Split
from octavo.evaluation.scorecard import Evaluation
from octavo.project import paths
from octavo.project.files import atomic_write
from octavo.tasks.logits import NotFinite, choices


def baseline_logits(name: str, predict: Predictor, images: np.ndarray) -> np.ndarray:
    """Logits of the variant that is the baseline.

    Raises:
        VariantRefused: one is NaN or infinite.
    """
    try:
        return logits(predict, images, name)
    except NotFinite as error:
        raise acceptance_record.baseline_refused(name, str(error)) from None


def control_logits(images: np.ndarray) -> tuple[np.ndarray | None, list[str]]:
    """Logits of the network `control`; none, and a note that says so, where it was not made or one is not finite."""
    reason = network_notes.refusal(paths.exported("control"))
    if reason:
        return None, [f"What QAT gains beyond more training is unknown. {reason}"]
    try:
        return logits(open_model(paths.exported("control") / "model.onnx"), images, "The network control"), []
    except NotFinite as error:
        return None, [f"What QAT gains beyond more training is unknown. {error}"]


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
    atomic_write.write_bytes(paths.logits(name), buffer.getvalue())
    atomic_write.write_text(paths.predictions(name), predictions.to_csv(index=False))
    atomic_write.write_text(paths.card(name), f"{card}\n")
