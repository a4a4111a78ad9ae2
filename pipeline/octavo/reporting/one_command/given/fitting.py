"""Bring examples into the form that the network's input needs, and declare the encoding that does the rest."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from octavo.data.input_encoding import fits, written
from octavo.data.sources.raw import Array
from octavo.project.errors import DataError
from octavo.project.params.encoding import InputEncoding, Layout
from octavo.reporting.one_command.given.network import FloatNetwork

GREY_TO_RGB = "grey converted to RGB, because the model takes three channels"
RGB_TO_GREY = "one channel taken, because all three are equal and the model takes one"
PIXELS = (64, 255)
"""Where the largest of values lies that look like pixels."""
UNFOLDED = "flattened, because the model takes vectors"


@dataclass(frozen=True)
class Encoding:
    """The encoding as the user gives it."""

    scale: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def stored(examples: Array, network: FloatNetwork, changed: Counter[str]) -> Array:
    """The examples as splits store them: channels last, or of exactly the network's shape without such an axis.

    Args:
        examples: as they were loaded.
        network: what takes them.
        changed: what was done is counted here.

    Raises:
        DataError: the network cannot take them.
    """
    if examples.ndim == len(network.shape) + 2 and examples.shape[1] == 1:
        examples = examples[:, 0]
    if network.layout is None:
        return _without_channels(examples, network, changed)
    if examples.ndim == len(network.shape) + 1:
        first = fits(examples.shape[1:], network.shape)
        if network.layout == "nchw" and first and not fits(_moved(examples.shape[1:]), network.shape):
            examples = np.moveaxis(examples, 1, -1)
    examples = _with_channels(examples, network, changed)
    given = examples.shape[1:] if network.layout == "nhwc" else _moved(examples.shape[1:])
    if not fits(given, network.shape):
        raise _misfit(examples, network)
    return np.ascontiguousarray(examples)


def encoding(examples: Array, network: FloatNetwork, asked: Encoding) -> InputEncoding:
    """The encoding from stored examples to the network's input: as asked, or else as the file declares it.

    Args:
        examples: from `stored`.
        network: what takes them.
        asked: by the user.

    Raises:
        DataError: it does not fit the examples.
    """
    channels = examples.shape[-1]
    for name, values in (("--mean", asked.mean), ("--std", asked.std)):
        if len(values) not in (0, 1, channels):
            raise DataError(
                f"{name} has {len(values)} numbers, and examples have shape {examples.shape[1:]}. Give one, or "
                f"{channels}, one for each channel."
            )
    if asked.scale is not None and examples.dtype != np.uint8:
        raise DataError(f"--scale divides pixels of 0..255, and the examples are {examples.dtype}. Use --std instead.")
    layout: Layout = "channels_first" if network.layout == "nchw" else "stored"
    if asked == Encoding():
        return network.encoding.model_copy(update={"layout": layout})
    return InputEncoding(scale=asked.scale or InputEncoding().scale, mean=asked.mean, std=asked.std, layout=layout)


def doubts(examples: Array, declared: InputEncoding) -> list[str]:
    """What may be missing in the encoding, as sentences: floats that look like pixels, and no number above 1 to make
    them small.

    Args:
        examples: from `stored`.
        declared: from `encoding`.
    """
    if examples.dtype == np.uint8 or max((*declared.mean, *declared.std), default=0) > 1:
        return []
    low, high = float(examples.min()), float(examples.max())
    if low < 0 or not PIXELS[0] < high <= PIXELS[1]:
        return []
    said = (
        f"Examples are {examples.dtype} from {low:g} to {high:g}, like pixels, and floats are not divided by 255. If "
        "the model was trained on 0..1, give uint8, or divide them."
    )
    return [said]


def _with_channels(examples: Array, network: FloatNetwork, changed: Counter[str]) -> Array:
    """(N, H, W, C), as far as grey can become colour, and colour grey without a loss."""
    if examples.ndim == len(network.shape):
        examples = examples[..., None]
    have, wanted = examples.shape[-1], network.channels
    if have == 1 and wanted == 3:
        changed[GREY_TO_RGB] += len(examples)
        return np.repeat(examples, 3, axis=-1)
    if have == 3 and wanted == 1:
        if (examples != examples[..., :1]).any():
            raise DataError(
                "Images are in colour, and the model takes one channel. Convert them to grey as for the training."
            )
        changed[RGB_TO_GREY] += len(examples)
        return examples[..., :1]
    return examples


def _without_channels(examples: Array, network: FloatNetwork, changed: Counter[str]) -> Array:
    if fits(examples.shape[1:], network.shape):
        return examples
    if len(network.shape) == 1 and network.shape[0] == int(np.prod(examples.shape[1:])):
        changed[UNFOLDED] += len(examples)
        return examples.reshape(len(examples), -1)
    raise _misfit(examples, network)


def _moved(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with its last axis first."""
    return shape[-1], *shape[:-1]


def _misfit(examples: Array, network: FloatNetwork) -> DataError:
    layout = f", {network.layout.upper()}" if network.layout else ""
    return DataError(
        f"Examples have shape {examples.shape[1:]}, and the model takes {written(network.shape)}{layout}. Give data of "
        "that shape."
    )
