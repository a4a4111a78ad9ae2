"""Bring in a network of `brought` in `params.yaml` that lies in a SavedModel."""

from pathlib import Path

import numpy as np

from octavo.data.splits import load_manifest
from octavo.onnx_graph.foreign.comparison import ODD, TOLERANCE
from octavo.project import paths
from octavo.project.errors import ModelError
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.params import Params
from octavo.training import export
from octavo.training.fitting import fit
from octavo.training.keras_files import bringing
from octavo.training.keras_files.bringing import BroughtNetwork
from octavo.training.keras_files.saved_models import reading
from octavo.training.keras_files.saved_models.reading import Served


def bring(name: str, params: Params) -> str:
    """Read, check and export the network called `name`.

    Returns:
        The result as a clause.

    Raises:
        ModelError: the folder cannot be used, or its network gives other outputs than the data has classes.
        DataError: the network takes examples of another shape.
    """
    given, manifest = params.brought[name], load_manifest(paths.MANIFEST)
    fit.pin(given.seed, given.threads)
    served = reading.read(given.file)

    def write(samples: np.ndarray, folder: Path, encoding: InputEncoding) -> None:
        _check_batches(served, samples, given.file)
        export.export_frozen(served.frozen, name, served.run, samples, folder, encoding)

    names = ", ".join(sorted((served.signature, *served.others)))
    remarks = (f"Of its signatures {names}, {served.signature} is taken.",) if served.others else ()
    return bringing.bring(name, BroughtNetwork(given.file, served.shape, served.run, write, remarks), manifest)


def _check_batches(served: Served, samples: np.ndarray, folder: Path) -> None:
    """Check that the network gives finite outputs, one row for each example, and that its neighbours change nothing."""
    outputs, few = served.run(samples), served.run(samples[:ODD])
    if outputs.ndim < 2 or (len(outputs), len(few)) != (len(samples), len(samples[:ODD])):
        raise ModelError(
            f"{folder} gives outputs of shape {outputs.shape} for {len(samples)} examples, and one row for each is "
            "needed. Export it with the batch as the first axis."
        )
    if not np.isfinite(outputs).all():
        raise ModelError(
            f"{folder} gives outputs that are NaN or infinite. Check its weights, and whether examples are encoded as "
            "for its training."
        )
    difference, size = float(np.abs(outputs[:ODD] - few).max()), float(np.abs(outputs).max())
    if difference > TOLERANCE * size:
        raise ModelError(
            f"{folder} does not treat each example by itself: outputs of up to {size:.2g} differ by {difference:.2g} "
            "in smaller batches. Export it for inference."
        )
