"""Test a finished model file before it is accepted: open it like a user, and compare it with its network.

A file is refused if it cannot be opened or run, if it gives values that are NaN or infinite, or if the SQNR of its
outputs is below `min_sqnr_db`. The refusal names the first layer where the error jumps, and the next step. Only
calibration images are used.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from octavo.backends import layer_sqnr
from octavo.backends.predictor import Predictor
from octavo.backends.records import Acceptance, Cause, Jump, Refusal
from octavo.backends.registry import open_model
from octavo.data.splits import Samples
from octavo.project import story
from octavo.project.errors import ModelError, VariantRefused
from octavo.quantization import clipping
from octavo.statistics.signal_to_noise import decibels
from octavo.tasks import logits
from octavo.tasks.task import Task, load

IMAGES = 500
BATCH = 32
OTHER_RECIPE = "Take another recipe for this network, or take the variant out of params.yaml."


class FileRefused(VariantRefused):
    """A recipe's file is refused, or the recipe made no file."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def accept(path: Path, network: Path, samples: Samples, remedy: str) -> Acceptance:
    """Test a model file on the first 500 calibration images.

    Args:
        path: the finished file, next to the other files that its recipe wrote.
        network: the exported ONNX network that the file was made from. A quantization-aware network runs with its fake
            quantization.
        samples: calibration images, and the lowest accepted SQNR.
        remedy: the next step for the user if the file is refused although the network is correct, as sentences.

    Returns:
        The measured figures.

    Raises:
        FileRefused: the file is refused.
        ModelError: the network itself cannot be run.
    """
    images = samples.calibration[:IMAGES]
    wanted = _wanted(network, images)
    try:
        predict = open_model(path)
        got = _outputs(predict, images)
        _check_shape(got, wanted)
    except Exception as error:  # noqa: BLE001 - runtimes raise many kinds of errors for a broken file
        said = _sentence(error).replace(f"{path.parent}/", "")
        raise refused("not runnable", f"The file cannot be used: {said}", OTHER_RECIPE) from None
    figures = _compare(wanted, got, samples, clipping.count(path, network))
    if not figures.non_finite and figures.sqnr_db >= figures.min_sqnr_db:
        return figures
    lost = int(logits.broken(wanted).sum())
    if lost:
        why = f"The network itself gives values that are NaN or infinite for {lost:,} of {len(images):,} images."
        raise refused("not finite", why, "Train it again: no file made from it can be correct.", figures)
    layers = _layers(path, network, images, predict)
    found = layer_sqnr.jump(network, layers)
    if figures.non_finite:
        raise refused("not finite", _why(figures, found), remedy, figures, found, layers)
    lower = f"{remedy} To accept the file anyway, set min_sqnr_db: {math.floor(figures.sqnr_db)} for this variant."
    raise refused("low SQNR", _why(figures, found), lower, figures, found, layers)


def refused(
    cause: Cause,
    reason: str,
    remedy: str,
    acceptance: Acceptance | None = None,
    jump: Jump | None = None,
    layer_sqnr_db: Mapping[str, float] | None = None,
) -> FileRefused:
    """The exception that refuses a file. The arguments are the fields of `Refusal`.

    Args:
        cause: the kind of fault.
        reason: what is wrong, as sentences.
        remedy: the next step for the user, as sentences.
        acceptance: the measured figures; None if the file could not be run.
        jump: the layer where the error jumps; None if it is unknown.
        layer_sqnr_db: layer -> SQNR of its output in dB; None if the layers were not compared.
    """
    return FileRefused(
        Refusal(
            cause=cause,
            reason=reason,
            remedy=remedy,
            acceptance=acceptance,
            jump=jump,
            layer_sqnr_db=dict(layer_sqnr_db or {}),
        )
    )


def _wanted(network: Path, images: np.ndarray) -> np.ndarray:
    try:
        return _outputs(open_model(network), images)
    except Exception as error:  # noqa: BLE001 - onnxruntime has a different exception for every kind of failure
        raise ModelError(f"{network} cannot be run on the calibration images: {_sentence(error)}") from None


def _outputs(predict: Predictor, images: np.ndarray) -> np.ndarray:
    """Flattened outputs, float64 (N, values), for images as a split stores them."""
    batches = [predict(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    return np.concatenate([batch.reshape(len(batch), -1) for batch in batches]).astype(np.float64)


def _check_shape(got: np.ndarray, wanted: np.ndarray) -> None:
    if got.shape != wanted.shape:
        raise ModelError(f"its outputs have shape {got.shape}, but those of the network have {wanted.shape}.")


def _compare(wanted: np.ndarray, got: np.ndarray, samples: Samples, clips: clipping.Clips) -> Acceptance:
    return Acceptance(
        **differences(wanted, got, load(samples.task)),
        min_sqnr_db=samples.min_sqnr_db,
        clipped_biases=clips.biases,
        clipped_weights=clips.weights,
        unmatched_weights=clips.unmatched,
    )


def differences(wanted: np.ndarray, got: np.ndarray, task: Task) -> dict[str, Any]:
    """The fields of `Acceptance` that compare outputs.

    Args:
        wanted: the network's outputs, float (N, values).
        got: the file's, likewise.
        task: what the outputs mean.
    """
    wanted, got = wanted.astype(np.float64), got.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        signal, noise = float(np.mean(wanted**2)), float(np.mean((wanted - got) ** 2))
    relative = math.sqrt(noise / signal) if signal else 0.0 if noise == 0 else math.inf
    return {
        "n": len(wanted),
        "sqnr_db": round(decibels(signal, noise), 2),
        "relative_rms_error": float(f"{relative:.4g}") if math.isfinite(relative) else None,
        "agreement": float(task.same(got, wanted).mean()),
        "non_finite": int(np.count_nonzero(~np.isfinite(got))),
    }


def _layers(path: Path, network: Path, images: np.ndarray, predict: Predictor) -> dict[str, float]:
    try:
        return layer_sqnr.likely(path, network, images, predict.feed(images[: layer_sqnr.IMAGES]))
    except Exception as error:  # noqa: BLE001 - a refused file may be broken in any way; it is refused in any case
        story.say(f"The layers of the refused file cannot be compared: {_sentence(error)}")
        return {}


def _why(figures: Acceptance, jump: Jump | None) -> str:
    found = f"Its outputs' SQNR is {figures.sqnr_db:g} dB compared with the network it was made from; the limit is "
    found += f"{figures.min_sqnr_db:g} dB (min_sqnr_db)."
    if figures.non_finite:
        found = f"It gives {figures.non_finite:,} values that are NaN or infinite for {figures.n:,} images."
    if clipped := figures.clipped_biases + figures.clipped_weights:
        found += f" {clipped:,} of its biases and weights are clipped by the range of their integers."
    if jump is None:
        return found
    before = "the images" if jump.before_db == 200 else f"layers with {jump.before_db:g} dB"
    return f"{found} The error jumps at layer {jump.layer}: {jump.sqnr_db:g} dB, after {before}."


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, ModelError) else f"{type(error).__name__}: {text}"
