"""A SavedModel turned into a LiteRT file: quietly, or with one sentence that names the layer that cannot be."""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

from octavo.project.errors import ModelError

Converter: TypeAlias = tf.lite.TFLiteConverter
Ends = Literal["float32", "int8"]
"""What a file takes and gives: floats, or the integers that it computes in."""
FAULT = re.compile(
    r"""loc\((?:callsite\()?(?:fused\[)?(?:"[^"]*:",\s*)?"(?P<place>[^"]+)".*?\)\s*:\s*'(?:tf|tfl)\.(?P<operator>\w+)'\s+op\s+"""
    r"""(?P<what>[^\n]+)"""
)
"""How the converter's MLIR names an operator that it cannot take: its TensorFlow node and what is wrong with it."""
UNKNOWN = "is neither a custom op nor a flex op"
FAILURES = (ConverterError, ValueError, RuntimeError, TypeError, AssertionError, tf.errors.OpError)


def convert(exported: Path, configure: Callable[[Converter], None] | None = None) -> bytes:
    """The LiteRT file that TensorFlow's converter makes of `exported`'s SavedModel.

    Args:
        exported: the folder with `saved_model/`.
        configure: sets the converter's options.

    Raises:
        ModelError: it can make none; the message names the layers and operators that it does not take.
    """
    with _quiet():
        try:
            converter = Converter.from_saved_model(str(exported / "saved_model"))
            if configure is not None:
                configure(converter)
            return bytes(converter.convert())
        except FAILURES as error:
            raise ModelError(
                f"LiteRT's converter does not take {exported.name}: {_reason(str(error))}. "
                "Replace that layer, or have no LiteRT variants of this network."
            ) from None


def set_ends(converter: Converter, ends: Ends) -> None:
    """Let the file take and give integers."""
    if ends == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.int8


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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the converter's C++ code writes to the process's stderr to itself."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
