"""Bring in a network of `brought` in `params.yaml` that lies in a Keras file."""

from functools import partial
from typing import Any

import numpy as np

from octavo.data.splits import load_manifest
from octavo.project import paths
from octavo.project.params.params import Params
from octavo.training import export
from octavo.training.fitting import fit
from octavo.training.keras_files import bringing, reading
from octavo.training.keras_files.bringing import BroughtNetwork


def bring(name: str, params: Params) -> str:
    """Read, check and export the network called `name`.

    Returns:
        The result as a clause.

    Raises:
        ModelError: the file cannot be used, or its network gives other outputs than the data has classes.
        ParamsError: the function that builds the network cannot be used.
        DataError: the network takes examples of another shape.
    """
    given, manifest = params.brought[name], load_manifest(paths.MANIFEST)
    fit.pin(given.seed, given.threads)
    network = reading.read_any(given, manifest)
    opened = BroughtNetwork(
        given.file,
        reading.example_shape(network, given.file),
        lambda samples: np.asarray(network(samples, training=False)),
        partial(export.export, network),
    )
    return bringing.bring(name, opened, manifest)


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
