"""The user's network: what its file takes, and where the channels of an image are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from octavo.data.input_encoding import written
from octavo.onnx_graph.foreign import reading
from octavo.onnx_graph.foreign.reading import Foreign
from octavo.onnx_graph.rewrites import network_input
from octavo.project.errors import ModelError
from octavo.project.params.encoding import InputEncoding

Layout = Literal["nchw", "nhwc"]
CHANNELS = (1, 3, 4)
"""Sizes of an axis that is taken for that of the channels."""
IMAGE = 3
"""Axes of an image with channels."""


@dataclass(frozen=True)
class FloatNetwork:
    """A float network with one input and one output."""

    path: Path
    foreign: Foreign
    layout: Layout | None
    """Where the channels are; None if examples have no axis of channels."""

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Of one example as the network takes it; None for a free size."""
        return self.foreign.shape

    @property
    def channels(self) -> int | None:
        """Number of channels; None if there is no such axis, or if it is free."""
        return None if self.layout is None else self.shape[0 if self.layout == "nchw" else -1]

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of its images; None if they are free, or if it takes no images."""
        sides = {"nchw": self.shape[1:], "nhwc": self.shape[:-1], None: self.shape}[self.layout]
        if len(sides) != 2 or sides[0] is None or sides[1] is None:
            return None
        return sides[0], sides[1]

    @property
    def encoding(self) -> InputEncoding:
        """The encoding of its input that the file declares, or else the default one."""
        return network_input.encoding_of(self.path)

    @property
    def is_fake_quantized(self) -> bool:
        """Whether it was trained with fake quantization."""
        return reading.is_fake_quantized(self.foreign.model)


def read(path: Path, layout: Layout | None) -> FloatNetwork:
    """Read the ONNX file.

    Args:
        path: of the file.
        layout: as the user gives it; None to take it from the shape of the input.

    Raises:
        ModelError: it is not a float network that recipes can start from, or its layout is open.
    """
    foreign = reading.read(path)
    return FloatNetwork(path, foreign, _layout(foreign.shape, layout, path))


def _layout(shape: tuple[int | None, ...], given: Layout | None, path: Path) -> Layout | None:
    if len(shape) != IMAGE:
        if given is not None:
            raise ModelError(f"{path} takes examples of shape {written(shape)}, without channels. Remove --layout.")
        return None
    if given is not None:
        return given
    places: dict[Layout, int] = {"nchw": 0, "nhwc": 2}
    found = [name for name, place in places.items() if shape[place] in CHANNELS]
    if len(found) != 1:
        raise ModelError(
            f"{path} takes examples of shape {written(shape)}, from which it is not clear where the channels are. Add "
            "--layout nchw or --layout nhwc."
        )
    return found[0]
