"""The model card of one variant in Markdown: what an engineer, an auditor and a user of the model need to know.

Its parts are those of M. Mitchell et al., Model Cards for Model Reporting, FAT* 2019, as far as figures or the user's
own words exist for them. The rest is marked as not stated.
"""

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from octavo.backends import registry
from octavo.backends.onnxruntime import exact_sums
from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.params.encoding import InputEncoding, Layout
from octavo.project.params.params import Params
from octavo.promotion.decision import Decision
from octavo.reporting import equal_outputs
from octavo.reporting.documents import statements
from octavo.reporting.figures.svg import READABLE

MARKUP = re.compile(r"[\\`*\[\]<>|&]|(?<![^\W_])_|_(?![^\W_])|^[#+~=-]")
"""Characters with a meaning in Markdown (CommonMark 0.31.2): anywhere, around words, at the start of a line."""
TEMPLATES = Path(__file__).parents[1] / "templates"
TEMPLATE = "model_card.md.j2"
NUMBERED = re.compile(r"^(\d+)([.)])")
AXES: dict[Layout, str] = {
    "stored": "",
    "channels_first": ", with the channels as the first axis of an image",
    "channel_added_first": ", with an axis of one channel before the others of an image",
    "channel_added_last": ", with an axis of one channel after the others of an image",
}
"""Layout of an encoding -> how it is said."""


def model_card(card: Scorecard, scorecards: Scorecards, decision: Decision, params: Params) -> str:
    """The card of one variant. The same inputs give the same text.

    Args:
        card: the variant's scorecard.
        scorecards: of all variants.
        decision: of the gate.
        params: of the project.
    """
    judged, data = decision.verdict(card.variant), scorecards.data
    text = (
        _templates()
        .get_template(TEMPLATE)
        .render(
            card=card,
            scorecards=scorecards,
            decision=decision,
            params=params,
            variant=params.variant(card.variant),
            root=params.root(card.source),
            finetuned=params.finetunings(card.source),
            judged=judged,
            bounds=(judged and judged.accuracy_bounds) or card.quality.vs_baseline.ci,
            summary=statements.summary(card, scorecards),
            limits=statements.limits(card, scorecards, decision),
            comparisons=equal_outputs.comparisons(card),
            libraries=statements.libraries(card, scorecards.machine),
            classes=scorecards.classes,
            file=Path(card.model.path).name,
            usage=_usage(card),
            pixels=_pixels(card, scorecards),
            splits=data.get("splits", {}),
            across={pair: count for pair, count in data.get("duplicates", {}).get("across", {}).items() if count},
        )
    )
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


def plain(text: str) -> str:
    r"""Escape text so that Markdown shows it unchanged, on one line.

    >>> print(plain("<b>a|b</b>"))
    \<b\>a\|b\</b\>
    """
    return NUMBERED.sub(r"\1\\\2", MARKUP.sub(r"\\\g<0>", " ".join(str(text).split())))


@cache
def _templates() -> Environment:
    templates = Environment(  # noqa: S701 - it writes Markdown, where `plain` escapes
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {function.__name__: function for function in (*READABLE, plain)}
    return templates


def _pixels(card: Scorecard, scorecards: Scorecards) -> str:
    taken = card.interface.input if card.interface else None
    encoding = InputEncoding.model_validate(scorecards.data.get("encoding") or {})
    if taken and taken.dtype == "uint8" and taken.scale is None:
        return f"pixels 0 to 255, as they are{AXES[encoding.layout]}"
    steps = [_values(scorecards, encoding)]
    steps += [f"less {_listed(encoding.mean)}"] if encoding.mean else []
    steps += [f"divided by {_listed(encoding.std)}"] if encoding.std else []
    if taken and taken.scale is not None:
        steps += [f"then divided by {taken.scale:.9g}, rounded, plus {taken.zero}"]
    return f"{', '.join(steps)}{AXES[encoding.layout]}"


def _values(scorecards: Scorecards, encoding: InputEncoding) -> str:
    if scorecards.data.get("dtype", "uint8") == "uint8":
        return f"pixels 0 to 255 divided by {encoding.scale:g}"
    low, high = scorecards.data.get("pixel_range") or ("-inf", "inf")
    return f"values as the data have them, {low} to {high}"


def _listed(values: tuple[float, ...]) -> str:
    """One number for all channels, or one for each."""
    return f"{values[0]:g}" if len(values) == 1 else f"({', '.join(f'{value:g}' for value in values)}) by channel"


def _usage(card: Scorecard) -> str:
    """A program that runs the file, as its format has one; nothing where nobody recorded how the file is called."""
    if card.interface is None:
        return ""
    program = _templates().from_string(registry.named(card.format).usage)
    example = str(tuple(size or 1 for size in card.interface.input.shape))
    return program.render(
        card=card, file=Path(card.model.path).name, example=example, exact_sums=exact_sums.OPTION
    ).rstrip("\n")
