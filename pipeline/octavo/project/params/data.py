"""Section `data`: the source of the images, and how they are split."""

from pathlib import Path
from typing import Literal

from pydantic import (
    PositiveInt,
    model_validator,
)

from octavo.project.params.encoding import InputEncoding
from octavo.project.params.section import Model, Seed, Share, Side

HOME = Path("data")
"""`data.path` of a source that reads no path. It is a dependency of `prepare`, so DVC needs an existing folder."""


class Data(Model):
    source: Literal["digits", "mnist", "fashion_mnist", "npz", "images"]
    path: Path | None = None
    """The archive of `npz` or the folder of `images`. Other sources do not read it."""
    image_size: tuple[Side, Side] | None = None
    """Height and width in pixels that `images` are resized to. Without it, all images must have the same size."""
    encoding: InputEncoding = InputEncoding()
    """How examples become the input of every network."""
    test: Share = 0.2
    """Approximate share of the images for the test split, if the source has no test split."""
    selection: Share = 0.1
    """Approximate share of the remaining images for the selection split. It serves all choices during the build."""
    calibration: PositiveInt = 500
    """Number of train images for calibration."""
    duplicates: Literal["refuse", "drop_from_train", "allow"] | None = None
    """What to do with images that have the same pixels and lie in two of train, selection and test. Default: `allow`
    for published data sets, because others compare results on them unchanged; otherwise `drop_from_train`."""
    seed: Seed = 0

    @model_validator(mode="after")
    def _path_goes_with_source(self) -> "Data":
        if self.source in ("npz", "images"):
            if self.path is None:
                raise ValueError(f"source '{self.source}' needs a path")
        elif self.path not in (None, HOME):
            raise ValueError(
                f"source '{self.source}' reads no path, got '{self.path}'. Set path to '{HOME}', or use npz or images"
            )
        return self
