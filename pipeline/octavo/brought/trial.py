"""What `octavo init` tries before it writes: a user's data, a user's ONNX file, and whether they fit together."""

from pathlib import Path

import numpy as np

from octavo.brought import fitness
from octavo.data import input_encoding, prepare, sources
from octavo.data.partition import partition
from octavo.data.sources.raw import Raw
from octavo.onnx_graph.foreign import reading
from octavo.project.errors import DataError, ModelError
from octavo.project.params.data import Data
from octavo.project.params.encoding import InputEncoding, Layout
from octavo.project.setting_up.trial import SeenData, SeenNetwork

MOST = 1000
"""Examples of large data that are read."""
LAYOUTS: tuple[Layout, ...] = ("stored", "channels_first", "channel_added_first", "channel_added_last")


def data(given: Data) -> SeenData:
    """Read, check and split the data as the stage `prepare` does, and write nothing. Of large data, read some examples.

    Raises:
        OctavoError: as `sources.load`, `prepare.check` and `partition`.
    """
    raw = sources.load(given, MOST)
    if not raw.whole:
        for part, (images, labels) in _parts(raw).items():
            prepare.check_form(part, images, labels)
        images = raw.train[0]
        return SeenData(images.shape[1:], str(images.dtype), None, None)
    train, test, classes = prepare.check(raw)
    few = given.model_copy(update={"calibration": 1})
    splits = partition(train, test, classes, few, raw.files, raw.published).splits
    return SeenData(train.images.shape[1:], str(train.images.dtype), len(classes), len(splits["train"].labels))


def _parts(raw: Raw) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {"train": raw.train} | ({"test": raw.test} if raw.test else {})


def onnx(path: Path) -> SeenNetwork:
    """Read an ONNX file as the stage `bring` does.

    Raises:
        ModelError: it is not a network that recipes can start from.
    """
    foreign = reading.read(path)
    axes = [dim.dim_value for dim in foreign.model.graph.output[0].type.tensor_type.shape.dim]
    if len(axes) == 1:
        raise ModelError(
            f"{path} gives one value for each example, and one for each class is needed. Export it without ArgMax."
        )
    return SeenNetwork(foreign.shape, axes[1] or None if len(axes) == 2 else None)


def fit(examples: SeenData, network: SeenNetwork, declared: InputEncoding) -> InputEncoding:
    """The encoding that fits data and network: `declared`, or else one with another layout.

    Args:
        examples: of the data.
        network: of the file.
        declared: as the shape of the network's input suggests.

    Raises:
        DataError: no layout fits, or the encoding is none for the data.
        ModelError: the network has another number of outputs than the data have classes.
    """
    if examples.classes and network.outputs and examples.classes != network.outputs:
        raise fitness.other_outputs("of the file", (network.outputs,), examples.classes)
    found = declared
    if network.shape is not None:
        found = _fitted(examples, network.shape, declared)
    input_encoding.check(found, examples.shape, np.dtype(examples.dtype))
    return found


def _fitted(examples: SeenData, shape: tuple[int | None, ...], declared: InputEncoding) -> InputEncoding:
    faults = list[DataError]()
    for layout in dict.fromkeys((declared.layout, *LAYOUTS)):
        asked = declared.model_copy(update={"layout": layout})
        try:
            input_encoding.fitted(asked, examples.shape, shape)
        except DataError as fault:
            faults.append(fault)
        else:
            return asked  # the stage fits it again, so the default one need not be written
    raise faults[0]
