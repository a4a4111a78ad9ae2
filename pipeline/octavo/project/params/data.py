"""Section `data`: where images come from and how they are split."""

from pathlib import Path
from typing import Literal

from pydantic import (
    PositiveInt,
    model_validator,
)

from octavo.project.params.section import Model, Seed, Share, Side

HOME = Path("data")
"""What `data.path` says where the source reads none: it is a dependency of `prepare`, so DVC wants it to exist."""


class Data(Model):
    source: Literal["digits", "mnist", "fashion_mnist", "npz", "images"]
    path: Path | None = None
    """The archive of `npz`, the folder of `images`; not read by the others."""
    image_size: tuple[Side, Side] | None = None
    """Height and width that `images` are resized to; without it all must have one size."""
    test: Share = 0.2
    """About this share of the images is held out as the test split, where the source has none of its own."""
    selection: Share = 0.1
    """About this share of the rest is held out for every choice made while building."""
    calibration: PositiveInt = 500
    """Images of train that calibration sees."""
    duplicates: Literal["refuse", "drop_from_train", "allow"] | None = None
    """What becomes of images whose pixels stand in two of train, selection and test; by default `allow` for published
    sets, which are compared as they are, else `drop_from_train`."""
    seed: Seed = 0

    @model_validator(mode="after")
    def _path_goes_with_source(self) -> "Data":
        if self.source in ("npz", "images"):
            if self.path is None:
                raise ValueError(f"source '{self.source}' needs a path")
        elif self.path not in (None, HOME):
            raise ValueError(
                f"source '{self.source}' takes no path, leave it at '{HOME}'; '{self.path}' is for npz or images"
            )
        return self
