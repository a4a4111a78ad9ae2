"""Bring a foreign network in: read it, write it as recipes need it, and check that it computes the same."""

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from octavo.data.input_encoding import IMAGES
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.foreign import comparison, reading
from octavo.onnx_graph.foreign.comparison import Agreement
from octavo.onnx_graph.foreign.quantized import floats, settling
from octavo.onnx_graph.foreign.reading import Foreign
from octavo.onnx_graph.rewrites import network_input
from octavo.project.params.encoding import InputEncoding

EXAMPLES = comparison.EXAMPLES
"""Examples that are used; more are ignored."""


def bring(given: Path, target: Path, examples: np.ndarray, encoding: InputEncoding = IMAGES) -> Agreement:
    """Write the network of a foreign ONNX file to `target`, in the form that recipes start from.

    Args:
        given: the foreign file.
        target: the file to write. Beside it go its external data above 2 GB, and the names of its layers.
        examples: float32 (N, …), encoded as the network takes them. Both files are compared on them.
        encoding: of the network's input, which the new file declares.

    Returns:
        How well the two files agree.

    Raises:
        ModelError: the network is not one that recipes can start from, or the new file computes something else. Then
            nothing is written.
    """
    return write(reading.read(given), given, target, examples, encoding)


def write(
    foreign: Foreign, given: Path, target: Path, examples: np.ndarray, encoding: InputEncoding = IMAGES
) -> Agreement:
    """As `bring`, for a network that was already read.

    Args:
        foreign: from `reading.read`; its encoding is declared in place.
        given: the file that it was read from.
        target: as for `bring`.
        examples: as for `bring`.
        encoding: as for `bring`.

    Raises:
        ModelError: the new file computes something else.
    """
    network_input.declare(foreign.model, encoding)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=target.parent) as folder:
        made = Path(folder, target.name)
        canonicalize.save(foreign.model, made, foreign.contents)
        rounds = reading.is_fake_quantized(foreign.model)
        agreement = comparison.compare(given, made, examples, foreign.batch, rounds)
        if rounds:
            agreement = _write_quantized(foreign, given, made, examples, agreement)
        beside = sorted(path for path in made.parent.iterdir() if path != made)
        shutil.rmtree(target.with_name(settling.FOLDER), ignore_errors=True)  # of a network that was here before
        for path in (*beside, made):  # the model last: if it is there, all its files are
            path.replace(target.with_name(path.name))
    return agreement


def _write_quantized(
    foreign: Foreign, given: Path, made: Path, examples: np.ndarray, agreement: Agreement
) -> Agreement:
    """Write a network that was trained with quantization in its two forms: in float to `made`, and in integers beside.

    Args:
        foreign: the network.
        given: the file that it was read from.
        made: the file to write.
        examples: as for `bring`.
        agreement: of the network as it was read.

    Returns:
        The agreement, with remarks on what was kept.
    """
    whole = foreign.whole()
    if not settling.stores_weights(whole):
        floats.ask(whole)
        canonicalize.save(whole, made)
        return agreement
    settled = settling.settle(whole)
    integers = made.parent / settling.FOLDER / made.name
    canonicalize.save(settled.integers, integers)
    canonicalize.save(settled.floating, made)
    close = comparison.likeness(given, integers, examples, foreign.batch)
    return replace(agreement, remarks=(*settled.remarks, f"onnx_int8_qat {close}."))
