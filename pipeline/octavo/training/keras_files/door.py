"""Bring in a network of `brought` in `params.yaml` that lies in a Keras file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from octavo.backends import network_notes
from octavo.backends.onnxruntime import session as onnx_runtime
from octavo.brought import fitness, record
from octavo.data.input_encoding import encode, fitted
from octavo.data.splits import load_manifest, load_split
from octavo.onnx_graph import file_io
from octavo.onnx_graph.foreign import bringing
from octavo.onnx_graph.foreign.reading import ending
from octavo.project import paths, story
from octavo.project.params.params import Params
from octavo.training import export
from octavo.training.fitting import fit
from octavo.training.keras_files import reading


def bring(name: str, params: Params) -> str:
    """Read, check and export the network called `name`. If no variant needs it, write a marker instead.

    Returns:
        The result as a clause.

    Raises:
        ModelError: the file cannot be used, or its network gives other outputs than the data has classes.
        ParamsError: the function that builds the network cannot be used.
        DataError: the network takes examples of another shape.
    """
    if reason := params.why_not_needed(name):
        network_notes.refuse_network(name, reason)
        return reason
    given, manifest = params.brought[name], load_manifest(paths.MANIFEST)
    fit.pin(given.seed, given.threads)
    network = reading.read_any(given, manifest)
    encoding = fitted(manifest.encoding, manifest.image_shape, reading.example_shape(network, given.file))
    fitness.check_dtype(encoding, name)
    samples = encode(load_split(paths.split("calibration")).images[: bringing.EXAMPLES], encoding)
    target = paths.exported(name) / "model.onnx"
    with record.replaced(name):
        with story.counter(f"export {name}"):
            export.export(network, samples, target.parent, encoding)
        wanted = np.asarray(network(samples, training=False))
        difference = float(np.abs(wanted - onnx_runtime.open_model(target).run(samples)).max())
        spread = float(wanted.max() - wanted.min())
        accuracy, doubts = fitness.judge(name, target, manifest.classes)
        agreement = f"outputs differ from those of the given network by at most {difference:.2g}"
        remarks = [f"Brought from {given.file}: {agreement}.", *_remarks(target), *doubts]
        network_notes.write(target.parent, remarks)
        record.write(name, given.file, difference == 0, difference, spread)
    return f"{name}: brought from {given.file}, {agreement}; accuracy {accuracy:.4f} on the selection split"


def _remarks(exported: Path) -> Iterator[str]:
    if last := ending(file_io.load(exported, external=False)):
        yield f"The network ends in {last}, like the given one: its outputs are probabilities, not logits."


def start(name: str, params: Params) -> tuple[Any, list[str]]:
    """A brought network as the start of a training: with logits as outputs, and its weights loaded.

    Args:
        name: of the brought network.
        params: of the project.

    Returns:
        The model, and notes for the scorecards, one sentence each.

    Raises:
        ModelError: the file cannot be used.
        ParamsError: the network gives probabilities whose softmax cannot be removed, or has nothing to train.
    """
    given, manifest = params.brought[name], load_manifest(paths.MANIFEST)
    fit.pin(given.seed, given.threads)
    return reading.trainable(reading.read_any(given, manifest), name, len(manifest.classes))
