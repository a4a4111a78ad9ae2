"""A finished model file tried before it counts: opened as its users will, and run beside the network it was made of.

A file that cannot be opened or run, that gives a value that is NaN or infinite, or whose outputs have less than
`min_sqnr_db` of signal over noise is refused, with the first layer at which the error jumps and what to do about it.
Only images of calibration are looked at.
"""

import math
from collections.abc import Mapping
from pathlib import Path

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
from octavo.tasks.task import load

IMAGES = 500
BATCH = 32
OTHER_RECIPE = "Take another recipe for this network, or take the variant out of params.yaml."


class FileRefused(VariantRefused):
    """A recipe's file, or its lack of one, that is refused."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def accept(path: Path, network: Path, samples: Samples, remedy: str) -> Acceptance:
    """Try the model file `path` on the first 500 calibration images.

    Args:
        path: the finished file; what its recipe wrote beside it lies there, too.
        network: the exported ONNX network that it was made of; one trained quantization-aware runs as it was trained.
        samples: calibration images, and the limit.
        remedy: what to do where the file is refused although the network is well, as sentences.

    Raises:
        FileRefused: it is refused.
        ModelError: the network itself cannot be run.
    """
    images = samples.calibration[:IMAGES]
    wanted = _wanted(network, images)
    try:
        predict = open_model(path)
        got = _outputs(predict, images)
        _check_shape(got, wanted)
    except Exception as error:  # noqa: BLE001 - runtimes raise whatever they like at a broken file
        said = _sentence(error).replace(f"{path.parent}/", "")
        raise refused("not runnable", f"The file cannot be used: {said}", OTHER_RECIPE) from None
    figures = _compare(wanted, got, samples, clipping.count(path, network))
    if not figures.non_finite and figures.sqnr_db >= figures.min_sqnr_db:
        return figures
    lost = int(logits.broken(wanted).sum())
    if lost:
        why = f"The network itself gives values that are NaN or infinite for {lost:,} of {len(images):,} images."
        raise refused("not finite", why, "Train it anew: no file made of it can be right.", figures)
    layers = _layers(path, network, images, predict)
    found = layer_sqnr.jump(network, layers)
    if figures.non_finite:
        raise refused("not finite", _why(figures, found), remedy, figures, found, layers)
    lower = f"{remedy} To have it all the same, set min_sqnr_db: {math.floor(figures.sqnr_db)} for it."
    raise refused("low SQNR", _why(figures, found), lower, figures, found, layers)


def refused(
    cause: Cause,
    reason: str,
    remedy: str,
    acceptance: Acceptance | None = None,
    jump: Jump | None = None,
    layer_sqnr_db: Mapping[str, float] | None = None,
) -> FileRefused:
    """The exception that refuses a file; the arguments are the fields of `Refusal`."""
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
    except Exception as error:  # noqa: BLE001 - onnxruntime has an exception of its own for every failure
        raise ModelError(f"{network} cannot be run on the calibration images: {_sentence(error)}") from None


def _outputs(predict: Predictor, images: np.ndarray) -> np.ndarray:
    """float64 (N, values) of images as a split has them."""
    batches = [predict(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    return np.concatenate([batch.reshape(len(batch), -1) for batch in batches]).astype(np.float64)


def _check_shape(got: np.ndarray, wanted: np.ndarray) -> None:
    if got.shape != wanted.shape:
        raise ModelError(f"its outputs have shape {got.shape}, those of the network {wanted.shape}.")


def _compare(wanted: np.ndarray, got: np.ndarray, samples: Samples, clips: clipping.Clips) -> Acceptance:
    task = load(samples.task)
    with np.errstate(over="ignore", invalid="ignore"):
        signal, noise = float(np.mean(wanted**2)), float(np.mean((wanted - got) ** 2))
    relative = math.sqrt(noise / signal) if signal else 0.0 if noise == 0 else math.inf
    return Acceptance(
        n=len(wanted),
        sqnr_db=round(decibels(signal, noise), 2),
        min_sqnr_db=samples.min_sqnr_db,
        relative_rms_error=float(f"{relative:.4g}") if math.isfinite(relative) else None,
        agreement=float(task.same(got, wanted).mean()),
        non_finite=int(np.count_nonzero(~np.isfinite(got))),
        clipped_biases=clips.biases,
        clipped_weights=clips.weights,
        unmatched_weights=clips.unmatched,
    )


def _layers(path: Path, network: Path, images: np.ndarray, predict: Predictor) -> dict[str, float]:
    try:
        return layer_sqnr.likely(path, network, images, predict.feed(images[: layer_sqnr.IMAGES]))
    except Exception as error:  # noqa: BLE001 - a refused file may be broken in any way; it is refused all the same
        story.say(f"Its layers cannot be compared: {_sentence(error)}")
        return {}


def _why(figures: Acceptance, jump: Jump | None) -> str:
    found = f"Its outputs' SQNR is {figures.sqnr_db:g} dB beside the network that it was made of, the limit is "
    found += f"{figures.min_sqnr_db:g} dB (min_sqnr_db)."
    if figures.non_finite:
        found = f"It gives {figures.non_finite:,} values that are NaN or infinite for {figures.n:,} images."
    if clipped := figures.clipped_biases + figures.clipped_weights:
        found += f" {clipped:,} of its biases and weights are cut off by the range of their integers."
    if jump is None:
        return found
    before = "the images" if jump.before_db == 200 else f"layers of {jump.before_db:g} dB"
    return f"{found} The error jumps at layer {jump.layer}: {jump.sqnr_db:g} dB, behind {before}."


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, ModelError) else f"{type(error).__name__}: {text}"
