"""The model evaluator `quantization`: accuracy, latency, size and integer shares of an ONNX or LiteRT classifier.

    mlflow.models.evaluate("models:/octavo/2", X, targets=y, model_type="classifier", evaluators="quantization",
                           evaluator_config={"baseline": "models:/octavo/1"})

`X` has one flattened image per row, because `evaluate` accepts no other arrays. MLflow loads this module with the first
evaluation, and lets every installed evaluator try every classifier. For other models this one does nothing.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import mlflow
import numpy as np
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.models import EvaluationResult
from mlflow.models.evaluation.artifacts import ImageEvaluationArtifact, JsonEvaluationArtifact
from mlflow.models.evaluation.base import EvaluationArtifact, ModelEvaluator
from mlflow.utils.time import get_current_time_millis
from PIL import Image
from pydantic import PositiveInt, ValidationError
from sklearn.metrics import ConfusionMatrixDisplay

from octavo.backends import registry
from octavo.project.errors import ModelError
from octavo.project.params.section import faults
from octavo.project.schema import Record
from octavo_mlflow.evaluation import classifier_metrics
from octavo_mlflow.evaluation.classifier_metrics import Measured
from octavo_mlflow.flavors.raw_model import Opened, fetched, open_raw
from octavo_mlflow.registry.tags import UNKNOWN

FOLDER = "quantization"
"""Folder of the run's artifacts."""

log = logging.getLogger(__name__)


class EvaluationOptions(Record, extra="ignore"):
    """The keys of `evaluator_config` that this evaluator reads. Other keys belong to other evaluators."""

    baseline: str | None = None
    """URI of the model to compare with."""
    dtype: Literal["uint8", "float32"] | None = None
    """The encoding of the images, if their dtype is ambiguous."""
    label_list: list[Any] | None = None
    """The classes of the targets, in the order of the model's scores. Without it, targets are indices of scores."""
    rounds: PositiveInt = 30
    """Rounds of the latency measurement."""
    threads: PositiveInt = 1
    metric_prefix: str = ""


class QuantizationEvaluator(ModelEvaluator):
    @classmethod
    def can_evaluate(cls, *, model_type: str, **kwargs: Any) -> bool:
        """Classifiers only. MLflow does not pass the model here; `evaluate` checks it."""
        return model_type == "classifier"

    def evaluate(
        self,
        *,
        dataset: Any,
        run_id: str,
        evaluator_config: dict[str, Any],
        model: Any = None,
        model_id: str | None = None,
        **kwargs: Any,
    ) -> EvaluationResult | None:
        """Measure the model, and log figures and artifacts to the run.

        Returns None for a model that is not an ONNX or LiteRT classifier of images; with a warning if it has one of the
        two flavors.

        Args:
            dataset: MLflow's evaluation dataset; one flattened image per row.
            run_id: of the run that gets the results.
            evaluator_config: see `EvaluationOptions`.
            model: the loaded pyfunc model.
            model_id: of the logged model, if there is one.
            **kwargs: further arguments of MLflow; not used.

        Raises:
            MlflowException: `evaluator_config` is invalid.
        """
        if registry.formats().keys().isdisjoint(getattr(getattr(model, "metadata", None), "flavors", None) or {}):
            return None
        options = _options(evaluator_config or {})
        try:
            with _baseline(options) as baseline:
                opened = open_raw(model, options.threads, options.dtype)
                images, labels = _images(dataset), _labels(dataset, options)
                measured = classifier_metrics.measure(opened, baseline, images, labels, options.rounds)
        except ModelError as error:
            log.warning("The evaluator quantization leaves this model out. %s", error)
            return None
        figures = {f"{options.metric_prefix}{name}": value for name, value in measured.figures.items()}
        _log_metrics(figures, dataset, run_id, model_id)
        _tell_unknown(measured, options, run_id)
        artifacts = _log_artifacts(measured, options, run_id)
        return EvaluationResult(metrics=figures, artifacts=artifacts, run_id=run_id)


def _options(config: dict[str, Any]) -> EvaluationOptions:
    try:
        return EvaluationOptions.model_validate(config)
    except ValidationError as error:
        raise MlflowException.invalid_parameter_value(f"evaluator_config of quantization: {faults(error)}.") from None


@contextmanager
def _baseline(options: EvaluationOptions) -> Iterator[Opened | None]:
    with ExitStack() as opened:
        if options.baseline is None:
            baseline = None
        else:
            try:
                baseline = opened.enter_context(fetched(options.baseline, options.threads, options.dtype))
            except ModelError as error:
                raise MlflowException.invalid_parameter_value(f"The baseline {options.baseline}: {error}") from None
        yield baseline


def _images(dataset: Any) -> np.ndarray:
    features = dataset.features_data
    return np.asarray(features.to_numpy() if hasattr(features, "to_numpy") else features)


def _labels(dataset: Any, options: EvaluationOptions) -> np.ndarray:
    """The targets as indices of the model's scores, (N,).

    Raises:
        ModelError: they are not indices.
    """
    targets = np.asarray(dataset.labels_data)
    if options.label_list is not None:
        numbers = {label: number for number, label in enumerate(options.label_list)}
        if unknown := set(targets.tolist()) - set(numbers):
            raise ModelError(f"Targets {', '.join(sorted(map(str, unknown)))} are not in label_list.")
        return np.array([numbers[target] for target in targets.tolist()])
    if not np.issubdtype(targets.dtype, np.integer):
        raise ModelError(f"Targets are {targets.dtype}. Give label_list: the classes in the order of the scores.")
    return targets


def _log_metrics(figures: dict[str, float], dataset: Any, run_id: str, model_id: str | None) -> None:
    """Log figures as MLflow's own evaluators do: on the run, for the model on that dataset."""
    now = get_current_time_millis()
    about = {
        "model_id": model_id,
        "dataset_name": dataset.name,
        "dataset_digest": dataset.digest,
        "run_id": run_id,
    }
    metrics = [Metric(name, value, now, 0, **about) for name, value in figures.items()]
    MlflowClient().log_batch(run_id, metrics=metrics)


def _tell_unknown(measured: Measured, options: EvaluationOptions, run_id: str) -> None:
    """Report a share that cannot be counted by a tag of its name and by a warning."""
    for name in measured.unknown:
        MlflowClient().set_tag(run_id, f"{options.metric_prefix}{name}", UNKNOWN)
        operators = ", ".join(dict.fromkeys(node.operator for node in measured.proof.uncounted))
        log.warning(
            "The evaluator quantization cannot measure %s: it cannot count the operations of %s.", name, operators
        )


def _log_artifacts(measured: Measured, options: EvaluationOptions, run_id: str) -> dict[str, EvaluationArtifact]:
    """Log the confusion matrix as a picture, and all measurements as JSON."""
    prefix, client = options.metric_prefix, MlflowClient()
    found = {
        "figures": measured.figures,
        "latency": {name: each.model_dump(mode="json") for name, each in measured.latency.items()},
        "proof": measured.proof.model_dump(mode="json"),
    }
    with TemporaryDirectory() as folder:
        picture, proof = Path(folder, f"{prefix}confusion_matrix.png"), Path(folder, f"{prefix}proof.json")
        _draw(measured.confusion, options.label_list).savefig(picture)
        proof.write_text(json.dumps(found, indent=1), encoding="utf-8")
        for file in picture, proof:
            client.log_artifact(run_id, str(file), FOLDER)
        with Image.open(picture) as drawn:
            drawn.load()
    uri = mlflow.get_run(run_id).info.artifact_uri
    return {
        f"{FOLDER}_confusion_matrix": ImageEvaluationArtifact(f"{uri}/{FOLDER}/{picture.name}", drawn),
        f"{FOLDER}_proof": JsonEvaluationArtifact(f"{uri}/{FOLDER}/{proof.name}", found),
    }


def _draw(confusion: np.ndarray, names: list[Any] | None) -> Figure:
    figure = Figure(figsize=(6, 5), dpi=150, layout="constrained")
    few = len(confusion) <= 20
    display = ConfusionMatrixDisplay(confusion, display_labels=names)
    display.plot(ax=figure.add_subplot(), cmap="Blues", include_values=few, colorbar=not few)
    display.ax_.set(xlabel="predicted", ylabel="actual")
    return figure
