"""A year of nights on one test set: `python benchmarks/lifetime.py` (five minutes on two cores).

Ten thousand test images are drawn once a year. Every night a baseline and nine variants of it are made, all of whose
true losses are exactly the margin, so that every promotion is false. How often does a year have one, by Octavo's rule
for nights, by that for a promotion by hand, which was the nights' too, and with equal shares? Models do not resemble
each other, where the chances are summed exactly, too, or they do within a night, from night to night, and by recipe.
Three stories: they lose beside their baseline,
beside a champion that stays, and beside one that the nights themselves promote on these images (without an anchor,
which the real gate has besides). Then the power of a variant without loss, as first in its night's order, and where
eight others lose the margin and the selection split has to find it. Prints tables, writes
`benchmarks/results/lifetime.json`, and ends with exit code 1 where a promise is not kept.
"""

import json
import math
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy.stats import norm

from octavo.evaluation.scorecard import Scorecard, Size
from octavo.project.params.policy import Policy
from octavo.promotion import lifetime
from octavo.statistics.noninferiority import chance_to_pass, fewest_fixed, images_needed

YEARS, SEED = 600, 0
NIGHTS, VARIANTS, IMAGES, MARGIN, DISCORDANCE = lifetime.NIGHTS, 9, 10_000, 0.005, 0.01
CHANCE, LEVEL, POWER = 0.05, 0.05, 0.8
UNSURE, RIGHT = 0.025, 0.8
"""Share of images that models differ on, and chance that a good model is right there; a bad one loses the margin."""
SELECTION, TRIED = 6_000, 20_000
"""Images of the selection split, a tenth of MNIST's train; nights."""
RULES = {
    "as by hand": [LEVEL] * VARIANTS,
    "equal shares": [CHANCE / NIGHTS / VARIANTS] * VARIANTS,
    "octavo": [CHANCE / NIGHTS * share for share in lifetime.shares(VARIANTS)],
}
"""Levels that the variants of a night are judged at, in their order."""
POLICY = Policy(max_accuracy_drop=MARGIN, max_size_ratio=1, max_latency_ratio=1, prefer=("size",))
RESULTS = Path(__file__).parent / "results" / "lifetime.json"

Bits = npt.NDArray[np.bool_]
Answers = npt.NDArray[np.float32]
"""1 where a model is right on an image, else 0: products of them count the images that two are right on."""
Counts = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
Row = dict[str, float | int | str]


@dataclass(frozen=True)
class Resemblance:
    """How much of what decides an image is shared: by all models, by those of a night, by those of a recipe."""

    name: str
    all: float
    night: float
    recipe: float


RESEMBLANCES = (
    Resemblance("none", 0, 0, 0),
    Resemblance("nights and recipes", 0.3, 0.2, 0.3),
    Resemblance("nearly one model", 0.7, 0.1, 0.15),
)


@dataclass(frozen=True)
class Year:
    """Which of the unsure images of one test set each model is right on."""

    baselines: Answers
    """(nights, images)"""
    variants: Answers
    """(nights, variants, images)"""
    champion: Answers
    """(images,)"""
    bad: Bits
    """(nights,) whose variants lose the margin beside the champion that the year began with."""

    @cached_property
    def measured(self) -> Counts:
        """(nights, variants), each beside its night's baseline."""
        return counts(self.variants, self.baselines)

    @cached_property
    def beside(self) -> Counts:
        """(nights, variants), each beside the champion."""
        return counts(self.variants, self.champion)


def main() -> None:
    stories: dict[str, Callable[[Year, list[float]], bool]] = {
        "beside the baseline": beside_baseline,
        "beside the champion": beside_champion,
        "beside a champion that moves": beside_moving_champion,
    }
    with ProcessPoolExecutor() as pool:
        tried = [(*story, each) for story in stories.items() for each in RESEMBLANCES]
        years = list(pool.map(years_of, *zip(*tried, strict=True)))
    exact = [exactly(rate) for rate in (0.0075, 0.01, 0.05)]
    power = [*map(first_of_its_night, RULES), *map(found_by_selection, RULES)]
    needed = [images(rate, margin) for rate in (0.005, 0.01, 0.02) for margin in (0.005, 0.01, 0.02)]
    figures = {
        f"chance of any false promotion in {NIGHTS} nights, simulated": years,
        "the same beside the baseline, exactly, where no model resembles another": exact,
        f"power without loss, {IMAGES:,} images, {DISCORDANCE:.0%} discordant, margin {100 * MARGIN:g} points": power,
        "test images with which nine of ten without loss pass": needed,
    }
    RESULTS.write_text(json.dumps({"years": YEARS, "seed": SEED} | figures, indent=1) + "\n", encoding="utf-8")
    for title, rows in figures.items():
        show(title, rows)
    most = CHANCE + 2 * math.sqrt(CHANCE * (1 - CHANCE) / YEARS)
    broken = [row for row in years if float(row["octavo"]) > most]
    broken += [row for row in exact if float(row["octavo"]) > CHANCE]
    broken += [row for row in power if row["rule"] == "octavo" and float(row["beside the baseline"]) < POWER]
    sys.exit("\n".join(["Beyond what is promised:", *map(str, broken)]) if broken else 0)


def years_of(name: str, story: Callable[[Year, list[float]], bool], resemblance: Resemblance) -> Row:
    """Share of years with a false promotion, by each rule on the same years."""
    generator = np.random.default_rng(SEED)
    found, discordant = dict.fromkeys(RULES, 0), 0.0
    for _ in range(YEARS):
        year = drawn(generator, resemblance, name)
        discordant += float(year.measured[1].mean()) / IMAGES / YEARS
        for rule, levels in RULES.items():
            found[rule] += story(year, levels)
    row: Row = {"story": name, "resemblance": resemblance.name, "discordant": round(discordant, 4)}
    return row | {rule: round(count / YEARS, 4) for rule, count in found.items()}


def drawn(generator: np.random.Generator, resemblance: Resemblance, story: str) -> Year:
    """A year's images and models: latent Gaussian variables, shared as far as models resemble each other."""
    n = generator.binomial(IMAGES, UNSURE)
    one, night, recipe = (math.sqrt(share) for share in (resemblance.all, resemblance.night, resemblance.recipe))
    own = math.sqrt(1 - one**2 - night**2 - recipe**2)
    normal = generator.standard_normal
    image, by_night = normal(n, np.float32), normal((NIGHTS, 1, n), np.float32)
    by_recipe = normal((1 + VARIANTS, n), np.float32)
    latent = one * image + night * by_night + recipe * by_recipe
    latent += own * normal((NIGHTS, 1 + VARIANTS, n), np.float32)
    then = one * image + night * normal(n, np.float32) + recipe * by_recipe[1] + own * normal(n, np.float32)
    good, worse = norm.ppf(RIGHT), norm.ppf(RIGHT - MARGIN / UNSURE)
    bad = generator.random(NIGHTS) < 0.5 if story.endswith("moves") else np.ones(NIGHTS, bool)
    skill = np.full((NIGHTS, 1 + VARIANTS, 1), good)
    skill[bad, 1:] = worse
    if "champion" in story:
        skill[bad, 0] = worse
    right = (latent < skill).astype(np.float32)
    return Year(right[:, 0], right[:, 1:], (then < good).astype(np.float32), bad)


def beside_baseline(year: Year, levels: list[float]) -> bool:
    return bool(passes(year.measured, levels).any())


def beside_champion(year: Year, levels: list[float]) -> bool:
    return bool((passes(year.measured, levels) & passes(year.beside, levels)).any())


def beside_moving_champion(year: Year, levels: list[float]) -> bool:
    """In half of the nights all models are as good as the champion; whichever is promoted is the next one."""
    champion, measured = year.champion, passes(year.measured, levels)
    for night in np.flatnonzero(measured.any(1)):
        passing = measured[night] & passes(counts(year.variants[night], champion), levels)
        if passing.any() and year.bad[night]:
            return True
        if passing.any():
            champion = year.variants[night, passing.argmax()]
    return False


def counts(variants: Answers, reference: Answers) -> Counts:
    """Images fixed, and images discordant, of variants (…, variants, images) beside a reference (…, images)."""
    both = (variants @ reference[..., None])[..., 0]
    fixed = variants.sum(-1) - both
    return fixed.astype(int), (fixed + reference.sum(-1)[..., None] - both).astype(int)


def passes(found: Counts, levels: list[float]) -> Bits:
    """Which of the variants, the last axis of the counts, pass at their levels."""
    fewest = np.stack([needed_to_pass(level) for level in levels])
    fixed, discordant = found
    return np.asarray(fixed >= fewest[np.arange(len(levels)), discordant])


@cache
def needed_to_pass(level: float) -> npt.NDArray[np.int64]:
    """By discordant images: how many have to be fixed."""
    return fewest_fixed(np.arange(2 * round(UNSURE * IMAGES)), IMAGES, MARGIN, 1 - level)


def exactly(discordance: float) -> Row:
    row: Row = {"discordant": discordance}
    for rule, levels in RULES.items():
        chances = {level: chance_to_pass(IMAGES, -MARGIN, discordance, MARGIN, 1 - level) for level in set(levels)}
        kept = math.prod(1 - chances[level] for level in levels)
        row[rule] = round(1 - kept**NIGHTS, 4)
    return row


def first_of_its_night(rule: str) -> Row:
    level = RULES[rule][0]
    exact = chance_to_pass(IMAGES, 0.0, DISCORDANCE, MARGIN, 1 - level)
    generator = np.random.default_rng(SEED)
    n = round(DISCORDANCE / (2 * RIGHT * (1 - RIGHT)) * IMAGES)
    models = (generator.random((TRIED, 4, n), np.float32) < RIGHT).astype(np.float32)
    beside = [passes(counts(models[:, :1], models[:, place]), [level])[:, 0] for place in (1, 2, 3)]
    both, all_three = beside[0] & beside[1], beside[0] & beside[1] & beside[2]
    return {
        "rule": rule,
        "variant": "the first of its night",
        "beside the baseline": round(exact, 4),
        "and the champion": round(float(both.mean()), 4),
        "and the anchor": round(float(all_three.mean()), 4),
    }


def found_by_selection(rule: str) -> Row:
    """Eight variants lose the margin; the one without loss is the least preferred."""
    generator = np.random.default_rng(SEED)
    names = [f"v{place}" for place in range(VARIANTS)]
    cards = [card(name, place) for place, name in enumerate(names)]
    losses = np.array([MARGIN] * (VARIANTS - 1) + [0.0])
    chances = np.stack([(DISCORDANCE + losses) / 2, (DISCORDANCE - losses) / 2, np.full(VARIANTS, 1 - DISCORDANCE)], 1)
    seen, tested = (generator.multinomial(size, chances, (TRIED, VARIANTS)) for size in (SELECTION, IMAGES))
    promoted = 0
    for selection, test in zip(seen, tested, strict=True):
        right = dict(zip(names, (selection[:, 1] - selection[:, 0]) / SELECTION, strict=True))
        order = [names.index(name) for name in lifetime.order(cards, POLICY, right, 0.0)]
        level = RULES[rule][order.index(VARIANTS - 1)]
        broke, fixed, _ = test[-1]
        promoted += bool(fixed >= needed_to_pass(level)[broke + fixed])
    return {
        "rule": rule,
        "variant": "eight preferred ones lose the margin",
        "beside the baseline": round(promoted / TRIED, 4),
        "and the champion": "",
        "and the anchor": "",
    }


def card(name: str, bytes_: int) -> Scorecard:
    """As much of a scorecard as the order looks at."""
    size = Size(file_bytes=bytes_, weight_bytes=0, ratio=0, floor_ratio=0)
    fields: dict[str, Any] = {"variant": name, "size": size}
    return Scorecard.model_construct(**fields)


def images(discordance: float, margin: float) -> Row:
    row: Row = {"discordance": discordance, "margin": margin}
    found = {"by hand": LEVEL, "the only variant": CHANCE / NIGHTS, "the first of several": RULES["octavo"][0]}
    return row | {who: images_needed(discordance, margin, 1 - level) for who, level in found.items()}


def show(title: str, rows: list[Row]) -> None:
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int | float) else value for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
