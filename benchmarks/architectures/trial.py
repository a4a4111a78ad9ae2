"""One network through every recipe: `python -m benchmarks.architectures.trial NAME TARGET.json [OPTIONS]`.

A process of its own: TensorFlow is pinned before it runs its first operation, and gives its memory back at the end.
"""

import json
import traceback
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import tf_keras as keras

from benchmarks.architectures import cells, inputs, peer, weights
from benchmarks.architectures.catalogue import ARCHITECTURES, Architecture
from benchmarks.architectures.cells import Cell, Network
from octavo.backends import predictor
from octavo.backends.registry import open_model
from octavo.data.splits import Samples
from octavo.project.errors import OctavoError
from octavo.project.files import atomic_write
from octavo.quantization import recipes
from octavo.training import export
from octavo.training import networks as training_networks
from octavo.training.fitting import fit
from octavo.training.quantization_aware import qat

CALIBRATION, SELECTION = 256, 256
ROUNDS = 30
FRAMES = 2
"""Last frames of a traceback that are kept."""


@click.command()
@click.argument("name", type=click.Choice(list(ARCHITECTURES)))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--recipe", "wanted", multiple=True, type=click.Choice(recipes.names()))
@click.option("--rounds", default=ROUNDS)
@click.option("--keep", type=click.Path(path_type=Path), help="A folder to leave all files in.")
def main(name: str, target: Path, wanted: Sequence[str], rounds: int, keep: Path | None) -> None:
    """Try the network called NAME and write what was seen to TARGET."""
    fit.pin(seed=0, threads=1)
    with TemporaryDirectory() as folder:
        row = try_network(ARCHITECTURES[name], keep or Path(folder), wanted or recipes.names(), rounds)
    atomic_write.write_text(target, json.dumps(row, indent=1) + "\n")


def try_network(architecture: Architecture, folder: Path, names: Sequence[str], rounds: int) -> dict[str, Any]:
    """Build the network, try the recipes and onnxruntime's own quantizer on it, and look at all files."""
    data = inputs.examples(architecture.data)
    samples = Samples(data.train.images[:CALIBRATION], data.train.take(np.arange(CALIBRATION, CALIBRATION + SELECTION)))
    model = training_networks.build(architecture.builder, data.train.images.shape[1:], architecture.outputs)
    model._name = architecture.name  # noqa: SLF001 - messages name the network
    weights.train(model, data.train, architecture.classifies, architecture.epochs)
    sources = {name: "qat" if "qat" in name else "fp32" for name in (*names, peer.NAME)}
    networks, failures = _export(model, set(sources.values()), samples, folder, data.test.images)
    seen: dict[str, Cell] = {}
    opened: dict[str, Path] = {}
    for name, source in sources.items():
        target = folder / name / ("model.tflite" if name.startswith("litert") else "model.onnx")
        if source in networks:
            look = partial(_look, name, networks[source], target, samples, data.test.images)
            seen[name] = {"recipe": name, "source": source} | _attempt(look)
        else:
            seen[name] = {"recipe": name, "source": source} | failures[source]
        if "failure" not in seen[name]:
            opened[name] = target
    cells.time(opened, seen, data.test.images[:1], rounds)
    row: dict[str, Any] = {"architecture": architecture.name, "parameters": int(model.count_params())}
    row["image_shape"] = list(data.train.images.shape[1:])
    if architecture.classifies and "fp32" in networks:
        row["accuracy"] = float((networks["fp32"].logits.argmax(1) == data.test.labels).mean())
    return row | {"cells": list(seen.values())}


def _export(
    model: keras.Model, sources: Collection[str], samples: Samples, folder: Path, images: np.ndarray
) -> tuple[dict[str, Network], dict[str, Cell]]:
    """The network as it is and with fake quantization, exported below `folder`; by source, and what failed."""
    networks, failures = {}, {}
    for source in sorted(sources):
        path = folder / source / "model.onnx"
        exported = _attempt(partial(_export_one, model, source, samples.calibration, path.parent))
        if "failure" in exported:
            failures[source] = exported
        else:
            networks[source] = Network(path, predictor.logits(open_model(path), images), exported["left"])
    return networks, failures


def _export_one(model: keras.Model, source: str, images: np.ndarray, folder: Path) -> Cell:
    """Export it, and say which layers stay in float by name."""
    if source == "qat":
        model = qat.annotate(model)
        qat.initialize_ranges(model, images)
        qat.widen(model, images)
    export.export(model, images, folder)
    return {"left": qat.float_layers(model) if source == "qat" else []}


def _look(name: str, source: Network, target: Path, samples: Samples, images: np.ndarray) -> Cell:
    """Write the recipe's file, or the peer's, to `target`, and look at it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if name == peer.NAME:
        peer.quantize(source.path.parent, target, samples.calibration)
    else:
        recipes.quantize(name, source.path.parent, target, samples, {})
    return cells.look(target, source, images)


def _attempt(step: Callable[[], Cell]) -> Cell:
    """What `step` finds, or its failure: refused in a sentence, or crashed with the place in the code."""
    try:
        return step()
    except OctavoError as error:
        return {"failure": "refused", "reason": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a cell of the table
        places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        return {"failure": "crashed", "reason": f"{type(error).__name__}: {error} ({' '.join(places[-FRAMES:])})"}


if __name__ == "__main__":
    main()
