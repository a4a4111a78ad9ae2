"""A SavedModel turned into a LiteRT file, or one sentence that names the layer that cannot be converted.

The converter runs in a process of its own, which lives as long as this one: whoever only reads a recipe's options does
not wait for TensorFlow, and if the converter crashes, it ends no more than that process.
"""

import json
import os
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Literal

import numpy as np

from octavo.project import extras
from octavo.project.errors import ModelError

Ends = Literal["float32", "int8"]
"""What a file takes and gives: floats, or the integers that it computes in."""
Weights = Literal["float32", "float16", "int8"]
FAULT = re.compile(
    r"""loc\((?:callsite\()?(?:fused\[)?(?:"[^"]*:",\s*)?"(?P<place>[^"]+)".*?\)\s*:\s*'(?:tf|tfl)\.(?P<operator>\w+)'\s+op\s+"""
    r"""(?P<what>[^\n]+)"""
)
"""How the converter's MLIR names an operator that it cannot take: its TensorFlow node and what is wrong with it."""
UNKNOWN = "is neither a custom op nor a flex op"
PROGRAM = (sys.executable, "-m", f"{__package__}._converter")
HOME = Path(__file__).parents[4]
"""Where the process starts: modules are found here, and not where the caller works."""
TURN = Lock()


def convert(
    exported: Path, weights: Weights = "float32", calibration: np.ndarray | None = None, ends: Ends = "float32"
) -> bytes:
    """The LiteRT file that TensorFlow's converter makes of `exported`'s SavedModel.

    Args:
        exported: the folder with `saved_model/`.
        weights: how they are stored; for float32 nothing is quantized.
        calibration: float32 images (N, H, W[, C]) to take the ranges of activations from; None leaves activations in
            float, unless the network has ranges of its own.
        ends: what the file takes and gives.

    Raises:
        ModelError: it can make none; the message names the layers and operators that it does not take.
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
                f"LiteRT's converter does not take {exported.name}: {_reason(answer['error'])}. "
                "Replace that layer, or have no LiteRT variants of this network."
            )
        return Path(answer["file"]).read_bytes()


def saved_model(exported: Path) -> Path:
    """The SavedModel of an exported network.

    Raises:
        ModelError: it has none.
    """
    folder = exported / "saved_model"
    if not folder.is_dir():
        raise ModelError(f"{exported} has no SavedModel: networks past 2 GB are too large for LiteRT.")
    return folder


def _ask(request: dict[str, str | None]) -> dict[str, str]:
    with TURN:
        process = _process(os.getpid())
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = ""
        if answer:
            return dict(json.loads(answer))
        _process.cache_clear()
        code = process.wait()
        raise ModelError(
            f"LiteRT's converter ended with {f'signal {-code}' if code < 0 else f'exit code {code}'} on "
            f"{request['saved_model']}. Have no LiteRT variants of this network, or run the same command again."
        )


@lru_cache(maxsize=1)
def _process(_pid: int) -> "subprocess.Popen[str]":
    """The process that converts; it ends with this one. A fork of this process has one of its own."""
    extras.require("train")
    return subprocess.Popen(
        PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=HOME, text=True
    )


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
    """A node is called `network/layer/operator`."""
    parts = place.split("@", maxsplit=1)[0].rstrip(";").split("/")
    return parts[1] if len(parts) > 2 else parts[0]
