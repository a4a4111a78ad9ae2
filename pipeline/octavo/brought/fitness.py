"""Whether a brought network fits the project's data. What cannot be proven wrong is said as a doubt."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from octavo.backends.predictor import logits
from octavo.backends.registry import open_model
from octavo.data.splits import load_split
from octavo.project import paths
from octavo.project.errors import ModelError, ParamsError
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.params import PARAMS
from octavo.tasks.logits import CLASSIFICATION


def check_dtype(encoding: InputEncoding, name: str) -> None:
    """Check that the network, which takes float32, is given float32.

    Raises:
        ParamsError: the data are declared to be given as uint8.
    """
    if encoding.dtype != "float32":
        raise ParamsError(
            f"{PARAMS}: data.encoding.dtype is '{encoding.dtype}', and brought network '{name}' takes float32. Remove "
            "dtype; for a model that takes bytes, set take_bytes in a variant's options."
        )


def other_outputs(which: str, shape: tuple[int, ...], classes: int) -> ModelError:
    """The error for a network that has other outputs than one for each class.

    Args:
        which: of the networks, for the message.
        shape: of the outputs for one example.
        classes: number of classes.
    """
    return ModelError(
        f"Network {which} gives outputs of shape {shape} for each example, and the data has {classes} "
        "classes. Bring a network with one output for each class, in the order of the data."
    )


def judge(name: str, network: Path, classes: Sequence[str]) -> tuple[float, list[str]]:
    """Accuracy of the exported network on the selection split, and doubts about it, one sentence each.

    Args:
        name: of the network, for messages.
        network: the exported ONNX file.
        classes: names of the data's classes, in label order.

    Raises:
        NotFinite: an output is NaN or infinite.
        ModelError: the network has other outputs than one for each class.
    """
    selection, predict = load_split(paths.split("selection")), open_model(network)
    shape = predict(selection.images[:1]).shape[1:]
    if shape != (len(classes),):
        raise other_outputs(f"'{name}'", shape, len(classes))
    outputs = logits(predict, selection.images, f"Network '{name}'")
    accuracy = CLASSIFICATION.summary(CLASSIFICATION.scores(outputs, selection.labels))
    most = float(np.bincount(selection.labels).max() / len(selection.labels))
    if accuracy > most:
        return accuracy, []
    doubt = (
        f"It is right on {accuracy:.1%} of the selection split, and always the most frequent class would be on "
        f"{most:.1%}. Check the order of its classes, and that data.encoding is that of its training."
    )
    return accuracy, [doubt]
