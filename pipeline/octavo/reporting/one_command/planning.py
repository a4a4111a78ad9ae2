"""Which recipes are made of a network, which are left out and why, and how much their searches may try."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from octavo.backends import registry
from octavo.project import extras
from octavo.project.errors import ParamsError
from octavo.project.params.variants import CONVERTED
from octavo.quantization import recipes
from octavo.quantization.calibration import METHODS
from octavo.reporting.one_command.given.network import FloatNetwork

BASELINE = "onnx_fp32"
PER_SECOND = 20e9
"""Multiply-accumulates of a float network in a second on one core. The figure is fixed, not measured, so that what is
searched, and with it the file, does not depend on the machine or on its load."""
WORKERS = 2
PASSES, CORRECTED = 3, 6
"""Runs over the calibration images, as multiples of one: to observe ranges, and to correct biases."""
Images = tuple[np.ndarray, int]
"""Encoded calibration images, and the number of selection images."""
NEVER = 1e9
"""Seconds. The clock never ends a search, the plan does."""


@dataclass(frozen=True)
class Space:
    """What a search tries."""

    options: dict[str, Any] | None
    """Of the recipe's `search`; None for no search."""
    plain: int
    """Number of trials."""
    corrected: int
    """Number of trials with corrected biases, which take longer."""


FEW = ("min_max", "least_error")
SPACES = (
    Space({}, 2 * len(METHODS) + 2, 4),
    Space({"per_channel": [True], "equalize": False}, len(METHODS), 1),
    Space({"methods": FEW, "per_channel": [True], "equalize": False}, len(FEW), 1),
    Space(None, 0, 1),
)
"""The most thorough first."""


@dataclass(frozen=True)
class Asked:
    """What the user wants."""

    recipes: Sequence[str] = ()
    """Their names; empty for all."""
    format: str | None = None
    """Name of the only format; None for all."""


ANY = Asked()


@dataclass(frozen=True)
class Plan:
    options: dict[str, dict[str, Any]]
    """Recipe -> its options, the baseline first."""
    left_out: dict[str, str]
    """Recipe -> why it is not made, as a clause."""
    remarks: tuple[str, ...]
    """What limits the search, as sentences."""


def plan(network: FloatNetwork, path: Path, asked: Asked, seconds: float, images: tuple[np.ndarray, int]) -> Plan:
    """What to make.

    Args:
        network: to quantize.
        path: its ONNX file.
        asked: what the user wants.
        seconds: that a search may take.
        images: that a search runs on.

    Raises:
        ParamsError: a recipe that is asked for cannot be made of this network.
    """
    left_out = {name: reason for name in recipes.names() if (reason := _reason(name, network, asked))}
    for name in asked.recipes:
        if name in left_out:
            possible = ", ".join(other for other in recipes.names() if _reason(other, network, ANY) is None)
            raise ParamsError(f"--recipe {name} is not possible: {left_out[name]}. Possible: {possible}.")
    options: dict[str, dict[str, Any]] = {BASELINE: {}}
    remarks: tuple[str, ...] = ()
    for name in sorted(recipes.names(), key=lambda each: _form(each) != _form(BASELINE)):
        if name not in left_out and name != BASELINE:
            options[name] = {}
            if "search" in recipes.load(name).Options.model_fields:
                options[name], remarks = _searched(path, seconds, images)
    return Plan(options, left_out, remarks)


def _reason(name: str, network: FloatNetwork, asked: Asked) -> str | None:
    """Why a recipe is left out, as a clause; None if it is made."""
    if name == BASELINE:
        return None
    if asked.format not in (None, _form(name)):
        return f"--format is {asked.format}"
    if asked.recipes and name not in asked.recipes:
        return "--recipe names others"
    return _lacking(name) or _unfit(name, network)


def _lacking(name: str) -> str | None:
    """What a recipe needs and does not have, as a clause; None if nothing."""
    form = registry.named(_form(name))
    if name.endswith(CONVERTED):
        return "TensorFlow's converter takes a network in Keras, and this is a file in ONNX"
    if form.name in extras.EXTRAS and extras.missing([form.name]):
        return f"{form.title} is not installed. Run: {extras.command(form.name)}"
    return None


def _unfit(name: str, network: FloatNetwork) -> str | None:
    """Why a recipe is for another network, as a clause; None if it is for this one."""
    learned = getattr(recipes.load(name), "LEARNED", False)
    if learned and not network.is_fake_quantized:
        return "it needs a network that was trained with fake quantization"
    if network.is_fake_quantized and not learned:
        return "the network was trained with fake quantization, and it would lose the learned ranges"
    return None


def _form(name: str) -> str:
    return name.partition("_")[0]


def _searched(path: Path, seconds: float, images: Images) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Options with the most thorough search that fits, and what was cut."""
    single = _seconds_an_image(path, images[0])
    fitting = next((space for space in SPACES[:-1] if _cost(space, single, images) <= seconds), SPACES[-1])
    options = {} if fitting.options is None else {"search": {**fitting.options, "workers": WORKERS, "seconds": NEVER}}
    if fitting is SPACES[0] or not seconds:
        return options, ()
    tried, most = fitting.plain + fitting.corrected, SPACES[0].plain + SPACES[0].corrected
    needed = _cost(SPACES[0], single, images)
    remark = (
        f"--seconds {seconds:g} cuts the search to {tried} of {most} trials, as estimated from the network's size, so "
        f"that the same command gives the same file; --seconds {np.ceil(needed):.0f} allows all."
    )
    return options, (remark,)


def _cost(space: Space, single: float, images: Images) -> float:
    """Seconds of the trials of a space.

    Args:
        space: what is tried.
        single: seconds for one image in float.
        images: that it runs on.
    """
    calibration, selection = len(images[0]) * single, images[1] * single
    trials = (space.plain + space.corrected) * selection + space.corrected * CORRECTED * calibration
    return PASSES * calibration + trials / WORKERS


def _seconds_an_image(path: Path, images: np.ndarray) -> float:
    operators = registry.backend_of(path).operators(path, images[:1])
    return sum(operator.macs or 0 for operator in operators) / PER_SECOND
