"""Key `data.encoding`: how stored examples become the input of a network."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from octavo.project.params.section import Model

Layout = Literal["stored", "channels_first", "channel_added_first", "channel_added_last"]
LEAST, MOST = 1e-30, 1e30
"""Pixels divided by numbers between them are neither infinite nor all 0 in float32."""


def _not_too_large(value: float) -> float:
    if abs(value) > MOST:
        raise ValueError(f"Input should have a magnitude of at most {MOST:g}, got {value:g}")
    return value


def _not_too_small(value: float) -> float:
    if 0 < value < LEAST:
        raise ValueError(f"Input should be at least {LEAST:g}, got {value:g}")
    return value


Offset = Annotated[float, AfterValidator(_not_too_large)]
Divisor = Annotated[Offset, AfterValidator(_not_too_small), Field(gt=0)]


def _listed(value: Any) -> Any:
    """One number counts as a list of one."""
    return (value,) if isinstance(value, int | float) else value


class InputEncoding(Model):
    """How an example is encoded: divide by `scale`, subtract `mean`, divide by `std`, then reorder the axes.

    By default uint8 becomes float32 in 0..1, and float stays unchanged.
    """

    scale: Divisor = 255.0
    """Divisor of uint8 examples. Float examples are already scaled."""
    mean: Annotated[tuple[Offset, ...], BeforeValidator(_listed)] = ()
    """Subtracted after the division: one value per channel, or one for all. Empty: nothing is subtracted."""
    std: Annotated[tuple[Divisor, ...], BeforeValidator(_listed)] = ()
    """Divisor after the subtraction: one value per channel, or one for all. Empty: no division."""
    layout: Layout = "stored"
    """`stored`: axes as in the split, channels last. `channels_first`: (N, C, H, W), (N, C, T). `channel_added_first`:
    (N, 1, H, W) of grey images (N, H, W). `channel_added_last`: (N, H, W, 1) of them."""
    dtype: Literal["float32", "uint8"] = "float32"
    """Type of the network's input. uint8: the stored integers, without scale, mean and std."""

    @model_validator(mode="after")
    def _parts_go_together(self) -> "InputEncoding":
        if self.dtype == "uint8" and (self.mean or self.std):
            raise ValueError("dtype 'uint8' allows no mean and no std, because integers stay unchanged")
        if len({len(self.mean), len(self.std)} - {0, 1}) > 1:
            raise ValueError(
                f"mean has {len(self.mean)} values and std {len(self.std)}. Give each one per channel, or one for all"
            )
        return self
