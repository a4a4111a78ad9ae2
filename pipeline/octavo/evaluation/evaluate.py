"""Evaluate a variant on the test split, paired with the baseline: quality, size, integer coverage and layer errors."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octavo.backends import acceptance_record, layer_sqnr, model_files, network_notes, predictor
from octavo.backends.predictor import Predictor, logits
from octavo.backends.records import Refusal
from octavo.backends.registry import open_model
from octavo.data.splits import Split, load_manifest, load_split
from octavo.evaluation import integer_coverage, kernel_sets, parity, twins
from octavo.evaluation.scorecard import Evaluation
from octavo.project import paths
from octavo.project.files import atomic_write, csv_file
from octavo.project.params.params import Params
from octavo.tasks import classification
from octavo.tasks.logits import CLASSIFICATION, NotFinite


@dataclass(frozen=True)
class ModelPaths:
    """A model file, and those that it is compared with."""

    model: Path
    baseline: Path
    exported: Path
    """The ONNX network that it was made from."""


@dataclass(frozen=True)
class Compared:
    """Logits on the test split, float32 (N, classes)."""

    variant: np.ndarray
    baseline: np.ndarray
    network: np.ndarray
    """Of the network that the variant was made from."""
    control: np.ndarray | None = None
    """None if there is no control."""


def evaluate(name: str, params: Params) -> str:
    """Measure the variant called `name` and write its card, logits and predictions, or the reason for its refusal.

    Returns:
        The result as a clause.

    Raises:
        VariantRefused: the baseline is refused, so nothing can be measured.
        ModelError: a model file or a record is missing or damaged.
    """
    acceptance_record.check_baseline(params.baseline)
    if refusal := acceptance_record.refusal(name):
        save_refused(name, refusal)
        return f"{name}: no model, because its file was refused"
    try:
        card = _measure(name, params, load_split(paths.split("test")))
    except NotFinite as error:
        refusal = Refusal(cause="not finite", reason=str(error), remedy=acceptance_record.FINITE)
        save_refused(name, refusal)
        return f"Refused {name}: {refusal}"
    return f"{name}: accuracy {card.quality.top1:.4f} on {card.quality.n:,} test images"


def _measure(name: str, params: Params, test: Split) -> Evaluation:
    model, baseline = (model_files.path_of(each) for each in (name, params.baseline))
    source = params.variant(name).source
    exported = paths.exported(source) / "model.onnx"
    classes, calibration = load_manifest(paths.MANIFEST).classes, load_split(paths.split("calibration"))
    beside = _baseline_logits(params.baseline, open_model(baseline), test.images)
    variant = open_model(model)
    found = logits(variant, test.images, name)
    network = logits(open_model(exported), test.images, f"The network {source}")
    control, notes = _control_logits(source, params, test.images)
    card = measured(
        variant,
        ModelPaths(model, baseline, exported),
        test,
        Compared(found, beside, network, control),
        calibration.images,
        classes,
    )
    others, unable = kernel_sets.others(card, model, variant, test.images, found)
    card = card.model_copy(
        update={
            "acceptance": acceptance_record.acceptance(name),
            "parity": card.parity | others,
            "notes": [*network_notes.read(exported.parent), *predictor.notes(variant), *notes, *unable],
        }
    )
    save(name, test, found, card)
    return card


def measured(
    predict: Predictor,
    files: ModelPaths,
    test: Split,
    found: Compared,
    samples: np.ndarray,
    classes: Sequence[str] | None = None,
) -> Evaluation:
    """Everything that is measured on one model file, without its acceptance and notes.

    Args:
        predict: the file, opened.
        files: the file, and those that it is compared with.
        test: the test split, N images.
        found: logits on it.
        samples: images as stored. Saturation and the errors of layers are measured on them.
        classes: names in label order; by default their numbers.

    Raises:
        NotFinite: a logit is NaN or infinite.
        ModelError: a file cannot be read.
    """
    fed = predict.feed(samples)
    kernels = kernel_sets.default(files.model, fed), kernel_sets.default(files.exported, fed)
    step = integer_coverage.output_step(files.model)
    return Evaluation(
        model=model_files.of(files.model),
        quality=classification.judge(test, found.variant, found.baseline, found.control, classes),
        size=integer_coverage.measure_size(files.model, files.baseline),
        proof=integer_coverage.prove(files.model, fed),
        parity={"network": parity.compare(found.variant, found.network, step, kernels=kernels)},
        integers=twins.integers(files.model),
        interface=integer_coverage.interface(files.model),
        layer_sqnr_db=layer_sqnr.measure(files.model, files.exported, samples, fed),
    )


def _baseline_logits(name: str, predict: Predictor, images: np.ndarray) -> np.ndarray:
    """Logits of the baseline. The baseline is refused if a logit is not finite."""
    try:
        return logits(predict, images, name)
    except NotFinite as error:
        raise acceptance_record.baseline_refused(name, str(error)) from None


def _control_logits(source: str, params: Params, images: np.ndarray) -> tuple[np.ndarray | None, list[str]]:
    """Logits of the control of a quantization-aware network, or None; and notes, on it or why there are none."""
    if not params.is_quantization_aware(source):
        return None, []
    name = params.control(source)
    if name is None:
        reason = "No float network in finetuned continues from the same network for as long."
    elif not (reason := network_notes.refusal(paths.exported(name)) or ""):
        try:
            found = logits(open_model(paths.exported(name) / "model.onnx"), images, f"The network {name}")
            notes = network_notes.read(paths.exported(name))
            return found, [f"Of the network {name}, which it is compared with: {note}" for note in notes]
        except NotFinite as error:
            reason = str(error)
    return None, [f"It is unknown how much QAT gains over longer training in float. {reason}"]


def save(name: str, test: Split, variant: np.ndarray, card: Evaluation) -> None:
    """Write the card, the logits and the predictions of a variant to the files that `paths` names.

    Args:
        name: of the variant.
        test: the test split, N images.
        variant: float32 (N, classes) logits, in the order of `test`.
        card: what was measured.

    Raises:
        NotFinite: a logit is NaN or infinite.
    """
    _save(name, variant, test.labels, CLASSIFICATION.answers(variant, name), card.model_dump_json(indent=1))


def save_refused(name: str, refusal: Refusal) -> None:
    """Write the refusal as the card of the variant called `name`, with empty logits and predictions."""
    none = np.zeros(0, np.int64)
    _save(name, np.zeros((0, 0), np.float32), none, none, refusal.model_dump_json(indent=1))


def _save(name: str, variant: np.ndarray, actual: np.ndarray, predicted: np.ndarray, card: str) -> None:
    buffer = io.BytesIO()
    np.save(buffer, variant)
    predictions = csv_file.text(("actual", "predicted"), zip(actual, predicted, strict=True))
    atomic_write.write_bytes(paths.logits(name), buffer.getvalue())
    atomic_write.write_text(paths.predictions(name), predictions)
    atomic_write.write_text(paths.card(name), f"{card}\n")
