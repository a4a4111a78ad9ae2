"""Quantization-aware training: fake quantization around every layer, its ranges taken from calibration."""

from unittest import mock

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from tensorflow_model_optimization.python.core.quantization.keras import quantizers

from pipeline.errors import ModelError


def annotate(model: keras.Model) -> keras.Model:
    """A copy of `model` with fake quantization (8 bits, per-channel convolution weights).

    Raises:
        ModelError: TFMOT knows no quantization for one of the layers.
    """
    try:
        return tfmot.quantization.keras.quantize_model(model)
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"Network '{model.name}' cannot be trained quantization-aware: {' '.join(str(error).split())} "
            "Remove the variants with source 'qat', or replace the layer."
        ) from None


def initialize_ranges(model: keras.Model, images: np.ndarray, batch_size: int = 100) -> None:
    """Set every activation range to the extremes seen over `images`, float32 (N, H, W[, C]), in place.

    TFMOT starts moving averages at ±6 with decay 0.999, so a short fine-tuning would learn next to nothing of the
    true ranges: a ReLU's minimum stands at 6·0.999^108 = 5.385 below zero after 108 steps. While the images pass
    through, moving averages are swapped for TFMOT's all-values observer; batch normalization is held still.
    """
    for variable in model.non_trainable_variables:
        if _is_activation_range(variable.name):
            variable.assign(np.zeros(variable.shape))
    normalizations = [
        layer.layer
        for layer in model.layers
        if isinstance(getattr(layer, "layer", None), keras.layers.BatchNormalization)
    ]
    for layer in normalizations:
        layer.trainable = False
    observe = quantizers.AllValuesQuantizer.__call__
    with mock.patch.object(quantizers.MovingAverageQuantizer, "__call__", observe):
        for start in range(0, len(images), batch_size):
            model(images[start : start + batch_size], training=True)
    for layer in normalizations:
        layer.trainable = True


def _is_activation_range(name: str) -> bool:
    tail = name.rpartition("/")[2].partition(":")[0]
    return tail.endswith(("_min", "_max")) and not tail.startswith(("kernel", "depthwise_kernel"))
