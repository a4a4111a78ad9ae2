"""Labels for all examples: the user's, as indices of the network's outputs, or the network's own answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from octavo.backends.predictor import Predictor, logits
from octavo.backends.registry import open_model
from octavo.data.sources.raw import Array, sha256
from octavo.data.splits import Split, SplitRecord, digest_of
from octavo.project.errors import DataError, ModelError
from octavo.reporting.one_command.given.pool import Labels
from octavo.reporting.one_command.given.preparing import GivenData, Prepared
from octavo.tasks.logits import CLASSIFICATION

CLASSIFIER = 2
"""Axes of a classifier's output."""


@dataclass(frozen=True)
class Division:
    """The splits with labels for all, as recipes and measurements use them."""

    calibration: Array
    """As stored."""
    selection: Split
    test: Split
    classes: list[str]
    """Names of the network's outputs."""


def label(source: Path, prepared: Prepared) -> Division:
    """The splits with labels for all. Where there are none, the network's own answers take their place.

    Args:
        source: folder of the network.
        prepared: the splits.

    Raises:
        ModelError: the network is not a classifier, or cannot be run.
    """
    predict = open_model(source / "model.onnx")
    outputs = _outputs(predict, prepared.images["calibration"][:2])
    labels, classes = _by_output(prepared, outputs)
    splits = {}
    for name in ("selection", "test"):
        images, own = prepared.images[name], labels[name]
        if own is None:
            own = CLASSIFICATION.answers(logits(predict, images, "The model"), "The model")
        splits[name] = Split(images, own)
    return Division(prepared.images["calibration"], splits["selection"], splits["test"], classes)


def _outputs(predict: Predictor, images: np.ndarray) -> int:
    """Number of the network's outputs for one example."""
    try:
        found = predict(images)
    except Exception as error:  # noqa: BLE001 - onnxruntime has a different exception for every kind of failure
        said = " ".join(str(error).split())
        raise ModelError(f"The model cannot be run on the examples: {said}") from None
    if found.ndim != CLASSIFIER or len(found) != len(images) or found.shape[1] < 2:
        raise ModelError(
            f"The model gives {found.shape} for {len(images)} examples. Only classifiers are measured, which give "
            "(N, classes) with two classes or more."
        )
    return int(found.shape[1])


def _by_output(prepared: Prepared, outputs: int) -> tuple[dict[str, Labels | None], list[str]]:
    """The labels as indices of the network's outputs, and the names of the outputs.

    Args:
        prepared: the splits.
        outputs: number of the network's outputs.

    Raises:
        DataError: there are labels that no output stands for.
    """
    numbers = [str(place) for place in range(outputs)]
    classes = prepared.classes
    if classes is None:
        highest = max((int(each.max()) for each in prepared.labels.values() if each is not None), default=0)
        if highest >= outputs:
            raise _too_high(prepared, highest, outputs)
        return prepared.labels, numbers
    if len(classes) == outputs:
        return prepared.labels, list(classes)
    if set(classes) <= set(numbers):
        places = np.array([int(name) for name in classes], np.int64)
        return {name: None if each is None else places[each] for name, each in prepared.labels.items()}, numbers
    raise DataError(
        f"There are {len(classes)} class folders, and the model has {outputs} outputs. Give a folder for each output, "
        "empty where there are no images; or call the folders by the indices of their outputs; or add --unlabelled."
    )


def _too_high(prepared: Prepared, highest: int, outputs: int) -> DataError:
    lowest = min(int(each.min()) for each in prepared.labels.values() if each is not None)
    advice = "Give the index of an output for each example, or add --unlabelled."
    if lowest > 0 and highest - lowest < outputs:
        advice = f"They begin at {lowest}: subtract {lowest} from all, or add --unlabelled."
    return DataError(
        f"Labels run from {lowest} to {highest}, and the model has {outputs} outputs, 0 to {outputs - 1}. {advice}"
    )


def record(prepared: Prepared, used: Division, given: GivenData) -> dict[str, Any]:
    """The description of the data for the scorecards.

    Args:
        prepared: the splits.
        used: the same with the labels that were used.
        given: where the examples come from.
    """
    splits = {
        "calibration": _described(used.calibration, prepared.labels["calibration"], used.classes),
        "selection": _described(used.selection.images, used.selection.labels, used.classes),
        "test": _described(used.test.images, used.test.labels, used.classes),
    }
    return {
        "source": given.data.name or str(given.data),
        "image_shape": list(used.test.images.shape[1:]),
        "dtype": str(used.test.images.dtype),
        "pixel_range": [float(used.test.images.min()), float(used.test.images.max())],
        "classes": used.classes,
        "labels": prepared.labelled,
        "compared_on": "test",
        "splits": {name: each.model_dump(mode="json", exclude={"pixels"}) for name, each in splits.items()},
        "encoding": prepared.encoding.model_dump(mode="json"),
        "remarks": list(prepared.remarks),
        "digest": digest_of(splits),
    }


def _described(images: Array, labels: Labels | None, classes: Sequence[str]) -> SplitRecord:
    own = np.zeros(0, np.int64) if labels is None else labels
    counts = np.bincount(own, minlength=len(classes)).tolist()
    return SplitRecord(
        n=len(images),
        counts={} if labels is None else dict(zip(classes, counts, strict=True)),
        images_sha256=sha256(images),
        labels_sha256=sha256(own),
    )
