"""Options that recipes of LiteRT files share: the types of a file's input and output."""

from typing import Literal

from pydantic import model_validator

from octavo.project.params.section import Model

Ends = Literal["float32", "int8"]
"""Type of the model file's input and output: float, or the integers that the file computes in."""


class InputOptions(Model):
    take_bytes: bool = False
    """The model takes uint8 images 0..255 as they are stored, and does itself what the input encoding says."""


class EndOptions(InputOptions):
    io: Ends = "float32"
    """Type of the file's input and output."""

    @model_validator(mode="after")
    def _input_has_one_type(self) -> "EndOptions":
        if self.take_bytes and self.io == "int8":
            raise ValueError("take_bytes makes the input uint8, and io: int8 makes it int8. Remove one of the two")
        return self
