"""Open a network that Keras 2 (tf_keras) or Keras 3 saved, with the Keras that saved it.

It is built from its configuration, which was checked, and never by a loader that runs what a file says.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras as keras_3
import numpy as np
import tf_keras

from octavo.data.splits import Manifest
from octavo.project import foreign_code
from octavo.project.errors import ModelError
from octavo.project.params.networks import Brought
from octavo.training import ending, fitness, networks
from octavo.training.keras_files import containers

ADVICE = "Save it again as .keras, or bring it as ONNX."


def read_any(given: Brought, manifest: Manifest) -> Any:
    """The network that an entry of `brought` names: a model of tf_keras or of Keras 3.

    Args:
        given: the entry.
        manifest: of the data, for a function that builds the network.

    Raises:
        ModelError: the file is refused or damaged, or its network cannot be built.
        ParamsError: the function cannot be used.
    """
    if given.build:
        return read_weights(given.file, networks.untrained(given.build, manifest.image_shape, len(manifest.classes)))
    return read(given.file)


def read(path: Path) -> Any:
    """The network in a `.keras` file or a whole `.h5` file: a model of tf_keras or of Keras 3, not compiled.

    Raises:
        ModelError: the file is refused or damaged, or its network cannot be built.
    """
    saved = containers.look_into(path)
    keras = keras_3 if saved.is_keras_3 else tf_keras
    what = f"Keras {saved.version} saved {path}, and {keras.__name__} {keras.__version__} cannot build its network"
    kinds = {"Sequential": keras.Sequential, "Functional": keras.Model, "Model": keras.Model}
    kind = saved.config["class_name"]
    if kind not in kinds:
        raise ModelError(f"{path} holds a {kind}, and a Sequential or functional network is needed. {ADVICE}")
    with foreign_code.code(what, ModelError, advice=ADVICE), TemporaryDirectory() as folder:
        model = kinds[kind].from_config(saved.config["config"])
        if not model.built:
            model.build(saved.config.get("build_config", {}).get("input_shape"))
        model.load_weights(containers.weights(path, Path(folder)))
    return model


def read_weights(path: Path, model: Any) -> Any:
    """Load the weights in an `.h5` file into `model`, in place, and return it.

    Raises:
        ModelError: the file is refused or damaged, or belongs to another network.
    """
    containers.look_into_weights(path)
    what = f"The weights in {path} do not fit the network that {model.name} is"
    with foreign_code.code(what, ModelError, advice="Give the function that built the network they were saved from."):
        model.load_weights(path)
    return model


def example_shape(model: Any, path: Path) -> tuple[int | None, ...]:
    """The shape of one example as the network takes it; None for a free size.

    Raises:
        ModelError: it has several inputs or outputs, a fixed batch, or other values than float32.
    """
    for what in ("input", "output"):
        found = getattr(model, f"{what}s", None) or []
        if len(found) != 1:
            raise containers.several(path, what, [getattr(each, "name", "?") for each in found])
        kind = np.dtype(getattr(found[0].dtype, "name", found[0].dtype)).name
        if kind != "float32":
            raise ModelError(f"The {what} of {path} is {kind}, and float32 is needed. Save the float network.")
    halves = sorted({str(layer.compute_dtype) for layer in model.layers} - {"float32", "None"})
    if halves:
        raise ModelError(f"{path} computes in {', '.join(halves)}, and float32 is needed. Save it in float32.")
    batch, *shape = model.inputs[0].shape
    if batch is not None:
        raise ModelError(f"{path} is written for batches of {batch}. Save it with a free batch.")
    return tuple(shape)


def trainable(model: Any, name: str, classes: int) -> tuple[Any, list[str]]:
    """The network without its final softmax or sigmoid, so that it can be trained.

    Args:
        model: from `read_any`.
        name: of the network.
        classes: number of classes.

    Returns:
        The model, and notes for the scorecards, one sentence each.

    Raises:
        ParamsError: it has nothing to train, or gives probabilities that cannot be made logits.
    """
    fitness.admit_weights(model, name)
    model, squashing = ending.take_off(model)
    shape = tuple(model.inputs[0].shape[1:])
    fitness.admit_outputs(fitness.run(model, shape), name, classes)
    return model, [ending.taken_off(squashing)] if squashing else []
