"""Convert a SavedModel to a LiteRT file, or name the layer that cannot be converted in one sentence.

The converter runs in a separate process that lives as long as this one. So code that only reads a recipe's options does
not wait for TensorFlow, and a crash of the converter ends only that process.
"""

import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from octavo.backends.litert.content import tensors
from octavo.backends.litert.line_process import Ended, ask
from octavo.data.input_encoding import told
from octavo.onnx_graph.rewrites import network_input
from octavo.project import extras
from octavo.project.errors import ModelError

IMPORTED_BY_NAME = ("octavo.quantization.converter.process",)
"""The process below. Its code and the version of TensorFlow count as code of the recipes."""
Weights = Literal["float32", "float16", "int8"]
FAULT = re.compile(
    r"""loc\((?:callsite\()?(?:fused\[)?(?:"[^"]*:",\s*)?"(?P<place>[^"]+)".*?\)\s*:\s*'(?:tf|tfl)\.(?P<operator>\w+)'\s+op\s+"""
    r"""(?P<what>[^\n]+)"""
)
"""How the converter's MLIR reports an operator that it cannot convert: the TensorFlow node and the reason."""
UNKNOWN = "is neither a custom op nor a flex op"
PROGRAM = (sys.executable, "-m", f"{__package__}.process")
HOME = Path(__file__).parents[3]
"""Working directory of the process, so that it imports Octavo's modules and not those in the caller's folder."""


def convert(
    exported: Path,
    weights: Weights = "float32",
    calibration: np.ndarray | None = None,
    ends: Literal["float32", "int8"] = "float32",
) -> bytes:
    """Convert the SavedModel of an exported network to a LiteRT file with TensorFlow's converter.

    Args:
        exported: the folder with `saved_model/`, and with `model.onnx`, whose input encoding the file declares too.
        weights: the type that they are stored in. With float32 nothing is quantized.
        calibration: float32 images (N, H, W[, C]), encoded, for the ranges of activations. With None activations stay
            in float, unless the network has learned ranges.
        ends: type of the file's input and output.

    Returns:
        The content of the LiteRT file.

    Raises:
        ModelError: the conversion fails, and the message names the layers and operators that LiteRT does not support;
            or the network has no SavedModel; or the converter crashes.
        ModuleNotFoundError: TensorFlow is not installed.
    """
    with TemporaryDirectory() as folder:
        images = Path(folder, "images.npy")
        if calibration is not None:
            np.save(images, calibration, allow_pickle=False)
        answer = _ask(
            {
                "saved_model": str(saved_model(exported).absolute()),
                "file": str(Path(folder, "model.tflite")),
                "weights": weights,
                "calibration": None if calibration is None else str(images),
                "ends": ends,
            }
        )
        if "error" in answer:
            raise ModelError(
                f"LiteRT's converter cannot convert {exported.name}: {_reason(answer['error'])}. "
                "Replace that layer, or remove the variants of this network that this converter writes."
            )
        return _declared(Path(answer["file"]).read_bytes(), exported)


def _declared(content: bytes, exported: Path) -> bytes:
    """The file with the encoding that the exported network declares. The bytes are the same for the default one."""
    entries = told(network_input.encoding_of(exported / "model.onnx"))
    if not entries:
        return content
    model = tensors.read(content)
    tensors.declare(model, entries)
    return tensors.write(model)


def saved_model(exported: Path) -> Path:
    """Folder of an exported network's SavedModel.

    Raises:
        ModelError: the network has none, because it is too large or was brought as ONNX.
    """
    folder = exported / "saved_model"
    if not folder.is_dir():
        if not (exported / "model.onnx.data").is_file():
            raise ModelError(
                f"{exported} has no SavedModel, because its network was brought as ONNX. TensorFlow's converter needs "
                "a network that is built here, or brought as a Keras file or a SavedModel."
            )
        raise ModelError(f"{exported} has no SavedModel: networks past 2 GB are too large for LiteRT.")
    return folder


def _ask(request: dict[str, str | None]) -> dict[str, str]:
    extras.require("train")
    try:
        return dict(json.loads(ask(PROGRAM, HOME, json.dumps(request))))
    except Ended as error:
        raise ModelError(
            f"LiteRT's converter ended with {error} on {request['saved_model']}. Run the same command again, or remove "
            "the variants of this network that this converter writes."
        ) from None


def _reason(text: str) -> str:
    faults = {
        f"layer '{_layer(fault['place'])}', operator {fault['operator']}, {_what(fault['what'])}"
        for fault in FAULT.finditer(text)
    }
    if faults:
        return "; ".join(sorted(faults)[:3])
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else "it does not say why"


def _what(words: str) -> str:
    return "which LiteRT does not have" if words.startswith(UNKNOWN) else words.strip().rstrip(".")


def _layer(place: str) -> str:
    """The layer in a node's name, which has the form `network/layer/operator`."""
    parts = place.split("@", maxsplit=1)[0].rstrip(";").split("/")
    return parts[1] if len(parts) > 2 else parts[0]
