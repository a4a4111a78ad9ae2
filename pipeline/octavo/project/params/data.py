"""Section `data`: the source of the images, and how they are split."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    PositiveInt,
    model_validator,
)

from octavo.project.params.encoding import InputEncoding
from octavo.project.params.section import FUNCTION, Model, Seed, Share, Side

HOME = Path("data")
"""`data.path` of a source that reads no path. It is a dependency of `prepare`, so DVC needs an existing folder."""


IMAGE_SUFFIXES = (
    ".apng", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
    ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Suffixes of the images that are read from files. The format is detected from the content."""
WITH_PATH = ("npz", "npy", "images", "csv", "parquet")
"""Sources that read a path."""
WITH_FILES = ("images", "csv", "parquet")
"""Those whose examples are image files."""


def _generator(name: str) -> str:
    if name and not FUNCTION.fullmatch(name):
        raise ValueError("Input should be module:function of your own")
    return name


class Data(Model):
    source: Literal["digits", "mnist", "fashion_mnist", "npz", "npy", "images", "csv", "parquet", "generator"]
    path: Path | None = None
    """The archive of `npz`, the folder of `npy` or `images`, the table of `csv` or `parquet` or a folder with it, or
    what the function of `generator` reads. Other sources do not read it."""
    generator: Annotated[str, AfterValidator(_generator)] = ""
    """`module:function` of your own that yields (example, label), for the source `generator`. It is given the path."""
    image_size: tuple[Side, Side] | None = None
    """Height and width in pixels that images in files are resized to. Without it, all must have the same size."""
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
        if self.source in WITH_PATH:
            if self.path is None:
                raise ValueError(f"source '{self.source}' needs a path")
        elif self.source == "generator":
            if not self.generator:
                raise ValueError("source 'generator' needs a generator: module:function of your own")
        elif self.path not in (None, HOME):
            raise ValueError(
                f"source '{self.source}' reads no path, got '{self.path}'. Set path to '{HOME}', or use one of "
                f"{', '.join(WITH_PATH)}"
            )
        if self.generator and self.source != "generator":
            raise ValueError(f"source '{self.source}' calls no generator. Set source to generator, or remove generator")
        return self

    @model_validator(mode="after")
    def _only_files_are_resized(self) -> "Data":
        if self.image_size and self.source not in WITH_FILES:
            raise ValueError(
                f"image_size is for images in files, and source '{self.source}' has none. Remove image_size, or use "
                f"one of {', '.join(WITH_FILES)}"
            )
        return self

    @property
    def module(self) -> str:
        """The dotted name of the generator's module; empty if there is none."""
        return self.generator.partition(":")[0]
