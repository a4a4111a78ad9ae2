"""Bring in a network of `brought` in `params.yaml` that lies in an ONNX file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from octavo.backends import network_notes
from octavo.brought import fitness, record
from octavo.data.input_encoding import encode, fitted
from octavo.data.splits import load_manifest, load_split
from octavo.onnx_graph import file_io
from octavo.onnx_graph.foreign import bringing, reading
from octavo.onnx_graph.foreign.reading import Foreign
from octavo.project import paths
from octavo.project.errors import ModelError
from octavo.project.params.params import PARAMS, Params


def bring(name: str, params: Params) -> str:
    """Read, check and export the network called `name`.

    Returns:
        The result as a clause.

    Raises:
        ModelError: the file cannot be used, or its network gives other outputs than the data has classes.
        DataError: the network takes examples of another shape.
    """
    file = params.brought[name].file
    if not file.is_file():
        raise ModelError(f"{PARAMS}: brought.{name}.file is {file}, which is not a file. Give the path of a network.")
    _check_beside(file, name)
    manifest, foreign = load_manifest(paths.MANIFEST), reading.read(file)
    encoding = fitted(manifest.encoding, manifest.image_shape, foreign.shape)
    fitness.check_dtype(encoding, name)
    images: np.ndarray = load_split(paths.split("calibration")).images[: bringing.EXAMPLES]
    target = paths.exported(name) / "model.onnx"
    with record.replaced(name):
        agreement = bringing.write(foreign, file, target, encode(images, encoding), encoding)
        accuracy, doubts = fitness.judge(name, target, manifest.classes)
        remarks = [f"Brought from {file}: {agreement}.", *_remarks(foreign), *agreement.remarks, *doubts]
        network_notes.write(target.parent, remarks)
        record.write(name, file, agreement.exact, agreement.difference, agreement.spread)
    return f"{name}: brought from {file}, {agreement}; accuracy {accuracy:.4f} on the selection split"


def _check_beside(file: Path, name: str) -> None:
    """Check that DVC watches all files of the network: `artifacts/code.json` has a digest of them."""
    for path in file_io.named_beside(file):
        if path.parent != file.parent or not path.name.startswith(file.name):
            raise ModelError(
                f"brought.{name}.file is {file}, whose weights are in {path}. Their file must be beside it and have a "
                f"name that begins with {file.name}, so that a change of it is noticed. Save the network again with "
                "onnx.save, in one file."
            )


def _remarks(foreign: Foreign) -> Iterator[str]:
    if foreign.batch is not None:
        yield f"The given file is written for batches of {foreign.batch}. Here the batch is free."
    if reading.is_fake_quantized(foreign.model):
        yield "The given file quantizes activations itself. Every variant of it does so too, also those in float."
    if last := reading.ending(foreign.model):
        yield f"The network ends in {last}, like the given file: its outputs are probabilities, not logits."
