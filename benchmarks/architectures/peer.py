"""onnxruntime's own static quantizer, as its documentation recommends for x86: what integers can do here at least."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.rewrites import preparation

NAME = "quantize_static"
BATCH = 32


class _Reader(CalibrationDataReader):
    def __init__(self, images: np.ndarray) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = (
            {"images": images[start : start + BATCH]} for start in range(0, len(images), BATCH)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def quantize(exported: Path, target: Path, images: np.ndarray) -> None:
    """Write `exported/model.onnx` in integers to `target`: QDQ, uint8 activations, int8 weights per channel, min-max.

    It gets the graph that Octavo's recipes start from, so that both fold the same, and its own pre-processing.
    """
    folded, prepared = (target.with_name(f"{target.stem}.{step}.onnx") for step in ("folded", "prepared"))
    model = canonicalize.load(exported / "model.onnx")
    preparation.prepare(model)
    canonicalize.save(model, folded)
    quant_pre_process(str(folded), str(prepared), skip_symbolic_shape=True)  # that leaves files where it fails
    quantize_static(
        prepared,
        target,
        _Reader(images),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
