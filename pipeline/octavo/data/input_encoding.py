"""How stored examples become the input of a network. Declared in one place, and applied only by `encode`.

Channels are the last axis of an example as the splits store it. A model file declares its encoding in its own metadata,
as JSON of the values that are not the default ones. A file of the default encoding has no such entry.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from octavo.project.errors import DataError, ModelError
from octavo.project.params.encoding import InputEncoding, Layout
from octavo.project.params.section import faults

IMAGES = InputEncoding()
"""The default: the input of a network that takes images in 0..1, or float examples as they are stored."""
BYTES = InputEncoding(dtype="uint8")
"""The input of a model file that scales its images itself."""
KEY = "octavo.encoding"
"""Name of the entry in a file's metadata."""
SHAPE = Sequence[int | None]


def encode(images: npt.NDArray[Any], encoding: InputEncoding = IMAGES) -> npt.NDArray[Any]:
    """Encode stored examples as a network's input.

    Args:
        images: (N, H, W), (N, H, W, C), (N, T, C) or (N, D); uint8, or float32 that is already scaled.
        encoding: of the network.

    Returns:
        float32 or uint8, as the encoding says. If nothing needs to change, the same array, not a copy.
    """
    if encoding.dtype == "uint8":
        found = images if images.dtype == np.uint8 else np.rint(images * encoding.scale).astype(np.uint8)
    else:
        found = _real(images, encoding)
    return _laid_out(found, encoding.layout)


def _real(images: npt.NDArray[Any], encoding: InputEncoding) -> npt.NDArray[Any]:
    real = images.astype(np.float32) / np.float32(encoding.scale) if images.dtype == np.uint8 else images
    if encoding.mean:
        real = real - np.asarray(encoding.mean, np.float32)
    return real / np.asarray(encoding.std, np.float32) if encoding.std else real


def _laid_out(images: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    if layout == "stored":
        return images
    if layout == "channels_first":
        return np.ascontiguousarray(np.moveaxis(images, -1, 1))
    return np.expand_dims(images, 1 if layout == "channel_added_first" else -1)


def check(encoding: InputEncoding, example: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Check that the encoding is one for these data.

    Args:
        encoding: as declared.
        example: shape of one stored example.
        dtype: of the stored examples.

    Raises:
        DataError: the encoding does not fit. The message says what does.
    """
    grey = encoding.layout in ("channel_added_first", "channel_added_last")
    for name, values in (("mean", encoding.mean), ("std", encoding.std)):
        if len(values) in (0, 1):
            continue
        if grey:
            raise DataError(
                f"data.encoding.{name} has {len(values)} values, and layout '{encoding.layout}' is for grey images, "
                "which have one channel. Give one value."
            )
        if len(values) != example[-1]:
            raise DataError(
                f"data.encoding.{name} has {len(values)} values, and examples have shape {tuple(example)}. "
                f"Give one value for all, or {example[-1]}, one for each channel (the last axis)."
            )
    if dtype != np.uint8 and encoding.scale != IMAGES.scale:
        raise DataError(
            f"data.encoding.scale divides uint8 examples, and these are {dtype}. Leave it out, or set std instead."
        )
    if dtype != np.uint8 and encoding.dtype == "uint8":
        raise DataError(f"data.encoding.dtype is 'uint8', and examples are {dtype}. Give them as uint8 in 0..255.")
    if encoding.layout == "channels_first" and len(example) < 2:
        raise DataError(
            f"data.encoding.layout is 'channels_first', and examples have shape {tuple(example)}, a single axis. "
            "Leave layout out."
        )


def fitted(encoding: InputEncoding, example: Sequence[int], network: SHAPE) -> InputEncoding:
    """The encoding whose layout gives examples the shape that a network takes.

    The declared layout is kept if it fits. Grey images without an axis for channels get one where the network has it.

    Args:
        encoding: as declared.
        example: shape of one stored example.
        network: shape of the network's input without the batch; None for a free dimension.

    Raises:
        DataError: no layout fits. The message says what the network takes, and what it would be given.
    """
    layouts: tuple[Layout, ...] = (encoding.layout, "channel_added_first", "channel_added_last")
    for layout in layouts[: 3 if len(network) == len(example) + 1 else 1]:
        if fits(_shape(example, layout), network):
            return encoding.model_copy(update={"layout": layout})
    wanted, given = (written(each) for each in (network, _shape(example, encoding.layout)))
    advice = "Give data of that shape, or another network."
    other: Layout = "stored" if encoding.layout == "channels_first" else "channels_first"
    if len(example) > 1 and fits(_shape(example, other), network):
        advice = f"Set data.encoding.layout to {other}."
    raise DataError(
        f"The network takes examples of shape {wanted}, and data.encoding.layout '{encoding.layout}' gives it {given}. "
        f"{advice}"
    )


def _shape(example: Sequence[int], layout: Layout) -> tuple[int, ...]:
    return _laid_out(np.empty((0, *example)), layout).shape[1:]


def fits(shape: Sequence[int], network: SHAPE) -> bool:
    """Whether examples of a shape are what a network takes; both without the batch."""
    return len(shape) == len(network) and all(size in (None, got) for size, got in zip(network, shape, strict=True))


def written(shape: SHAPE) -> str:
    """A shape for people.

    >>> written((3, None, 32))
    '(3, any, 32)'
    """
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def every_byte(encoding: InputEncoding) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Every byte of every channel, and what the encoding makes of it: (256, channels) each."""
    channels = max(len(encoding.mean), len(encoding.std), 1)
    every = np.arange(256, dtype=np.uint8)[:, None].repeat(channels, axis=1)
    return every, encode(every, encoding.model_copy(update={"layout": "stored"}))


def of_bytes(encoding: InputEncoding) -> InputEncoding:
    """The encoding of a file that takes bytes and does the rest of `encoding` itself. The axes are the same."""
    return InputEncoding(scale=encoding.scale, layout=encoding.layout, dtype="uint8")


def told(encoding: InputEncoding) -> dict[str, str]:
    """The entry of a file's metadata that declares the encoding; empty for a default one.

    The data type has no place in it, because the file's input has one.
    """
    values = encoding.model_dump(mode="json", exclude_defaults=True, exclude={"dtype"})
    return {KEY: json.dumps(values, sort_keys=True, separators=(",", ":"))} if values else {}


def declared(metadata: Mapping[str, str], takes_bytes: bool = False, file: str = "The file") -> InputEncoding:
    """The encoding of a file's input.

    Args:
        metadata: of the file.
        takes_bytes: whether its input is uint8 that stands for no other numbers.
        file: what the message of an error calls it.

    Raises:
        ModelError: the entry in the metadata is not an encoding of such an input.
    """
    default = BYTES if takes_bytes else IMAGES
    if KEY not in metadata:
        return default
    try:
        return InputEncoding.model_validate({**json.loads(metadata[KEY]), "dtype": default.dtype})
    except (ValueError, TypeError) as error:
        why = faults(error) if isinstance(error, ValidationError) else "it is not a mapping in JSON"
        raise ModelError(
            f"{file} declares the input encoding {metadata[KEY]:.200}, which is invalid: {why}. Make the file again."
        ) from None
