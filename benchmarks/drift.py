"""How often the drift tests cry wolf, and what they catch: `python benchmarks/drift.py` (about two minutes).

Simulates nights on which images are added to 10,000 old ones. First images like the old, to hold the share of nights
refused for nothing against the stated one; then shifted ones, for the share of nights caught. The images are MNIST's
for training where $OCTAVO_DATA or the user's cache has them, else scikit-learn's digits beside 1,000 old ones.
Prints two tables and writes `benchmarks/results/drift.json`.
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pooch
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

from octavo.data import sources
from octavo.data.drift import Finding, compare
from octavo.data.image_statistics import brightness_and_contrast, summarize
from octavo.data.splits import Manifest, SplitRecord
from octavo.project.params.data import Data
from octavo.project.params.nightly import Drift

NIGHTS, SHIFTED_NIGHTS = 2000, 100
ADDED = (20, 100, 500, 3000)
OLD = {"mnist": 10_000, "digits": 1000}
RULES = ("class_balance", "brightness", "contrast")
LIMITS = Drift()
FREQUENT = 0.05
"""A rate that 2,000 nights say more about than of the stated one."""
FINER = 0.02
"""Another tolerance, to show what the stated one costs."""
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "drift.json"

TEMPLATE = Manifest.model_validate(
    {"source": "simulated", "seed": 0, "image_shape": (28, 28), "dtype": "uint8", "classes": list("0123456789")}
    | {"splits": {}, "pixel_range": (0, 255), "duplicates": {"within": {}, "across": {}}, "digest": ""}
)

Array = npt.NDArray[Any]
Night = dict[str, Finding]
Row = dict[str, Any]
SHIFTS: dict[str, Callable[[Array], Array]] = {
    "brightness +10%": lambda images: np.minimum(images * 1.1, 255).astype(np.uint8),
    "brightness +10% of white": lambda images: np.minimum(images + 25.5, 255).astype(np.uint8),
    "inverted": lambda images: 255 - images,
    "contrast halved": lambda images: ((images + images.mean(axis=(1, 2), keepdims=True)) / 2).astype(np.uint8),
}
WEIGHTS = {"a class doubled": 2.0, "a class missing": 0.0}
"""How likely an image of one class is added, another class each night, in proportion to the others."""


@dataclass(frozen=True)
class Scenario:
    """Images as the tests see them, class, brightness and contrast (N, 3): as they are old, and as they are added."""

    n_old: int
    plain: Array
    added: Array
    weight: float = 1.0


def main() -> None:
    source = "mnist" if any((home / "mnist.npz").is_file() for home in homes()) else "digits"
    images, labels = sources.load(Data.model_validate({"source": source})).train
    plain, n_old = measured(images, labels), OLD[source]
    scenarios = {name: Scenario(n_old, plain, measured(shift(images), labels)) for name, shift in SHIFTS.items()}
    scenarios |= {name: Scenario(n_old, plain, plain, weight) for name, weight in WEIGHTS.items()}
    sizes = [added for added in ADDED if added <= len(labels) - n_old]
    false_alarms = [false_alarm_rates(simulate(Scenario(n_old, plain, plain), n, NIGHTS), n) for n in sizes]
    power = [
        {"shift": name, "added": n, **power_of(simulate(scenario, n, SHIFTED_NIGHTS))}
        for name, scenario in scenarios.items()
        for n in sizes
    ]
    settings = {
        "source": source,
        "old": n_old,
        "limits": LIMITS.model_dump(),
        "nights": NIGHTS,
        "frequent": FREQUENT,
        "finer": FINER,
    }
    results = {"false_alarms": false_alarms, "shifted_nights": SHIFTED_NIGHTS, "power": power}
    RESULTS.write_text(json.dumps(settings | results, indent=1) + "\n", encoding="utf-8")
    show(false_alarms, power)


def homes() -> list[Path]:
    return [Path(home) for home in (os.environ.get("OCTAVO_DATA"), pooch.os_cache("octavo")) if home]


def measured(images: Array, labels: Array) -> Array:
    return np.column_stack([labels, *brightness_and_contrast(images)])


def simulate(scenario: Scenario, n: int, nights: int) -> list[Night]:
    with Pool() as pool:
        return pool.map(partial(night, scenario, n), range(nights), chunksize=nights // 4)


def night(scenario: Scenario, n: int, seed: int) -> Night:
    """What the tests say of one night that brings `n` images, by rule."""
    rng = np.random.default_rng([n, seed])
    old, rest = np.split(rng.permutation(len(scenario.plain)), [scenario.n_old])
    weights = np.where(scenario.plain[rest, 0] == rng.integers(10), scenario.weight, 1.0)
    new = rng.choice(rest, n, replace=False, p=weights / weights.sum())
    then = scenario.plain[old]
    findings = compare(manifest(np.concatenate([then, scenario.added[new]])), manifest(then), LIMITS)
    return {finding.rule: finding for finding in findings if finding.rule in RULES}


def manifest(rows: Array) -> Manifest:
    """The manifest of images split 80:10:10 as they come: the tests look at their sum."""
    parts = zip(("train", "selection", "test"), np.split(rows, [len(rows) * 8 // 10, len(rows) * 9 // 10]), strict=True)
    return TEMPLATE.model_copy(update={"splits": {name: record(part) for name, part in parts}})


def record(rows: Array) -> SplitRecord:
    counts = {digit: int((rows[:, 0] == label).sum()) for label, digit in enumerate(TEMPLATE.classes)}
    pixels = summarize(rows[:, 1], rows[:, 2], (0.0, 255.0))
    return SplitRecord(n=len(rows), counts=counts, images_sha256="", labels_sha256="", pixels=pixels)


def false_alarm_rates(nights: list[Night], n: int) -> Row:
    """Shares of nights refused by each rule and by any; and of those where a p-value was low, whatever the distance."""
    return {
        "added": n,
        "refused": {rule: share([found[rule].refuses for found in nights]) for rule in RULES}
        | {"any": refused(nights)},
        "low_p": low_p(nights, LIMITS.false_alarms),
        "low_p_frequent": low_p(nights, FREQUENT),
    }


def power_of(nights: list[Night]) -> Row:
    by = Counter(rule for found in nights for rule in RULES if found[rule].refuses)
    finer = [any(f.value >= FINER and surprising(f, LIMITS.false_alarms) for f in found.values()) for found in nights]
    return {"refused": refused(nights), "by": dict(by), "refused_at_finer": share(finer)}


def refused(nights: list[Night]) -> Row:
    return share([any(finding.refuses for finding in found.values()) for found in nights])


def low_p(nights: list[Night], rate: float) -> Row:
    """Share of nights that p-values alone would refuse, were the tolerance 0 and false alarms allowed at `rate`."""
    return share([any(surprising(finding, rate) for finding in found.values()) for found in nights])


def surprising(finding: Finding, rate: float) -> bool:
    return finding.p_value is not None and finding.p_value <= rate / len(RULES)


def share(hits: list[bool]) -> Row:
    """A share of nights with its exact 95% interval (Clopper and Pearson)."""
    interval = binomtest(sum(hits), len(hits)).proportion_ci(method="exact")
    return {"share": sum(hits) / len(hits), "ci95": [round(float(interval.low), 5), round(float(interval.high), 5)]}


def show(false_alarms: list[Row], power: list[Row]) -> None:
    console = Console()
    stated = [f"stated {rate:.1%}" for rate in (LIMITS.false_alarms, LIMITS.false_alarms, FREQUENT)]
    table = Table("added", *RULES, f"any: {stated[0]}", f"low p: {stated[1]}", f"low p: {stated[2]}")
    for row in false_alarms:
        cells = [*row["refused"].values(), row["low_p"], row["low_p_frequent"]]
        table.add_row(f"{row['added']:,}", *(with_interval(cell) for cell in cells))
    console.print(f"False alarms in {NIGHTS:,} nights of unchanged data", table)
    table = Table("shift", "added", "caught", f"at tolerance {FINER}", "caught by")
    for row in power:
        by = ", ".join(f"{rule} {count}" for rule, count in row["by"].items())
        cells = [row["refused"], row["refused_at_finer"]]
        table.add_row(row["shift"], f"{row['added']:,}", *(with_interval(cell) for cell in cells), by)
    console.print(f"Caught, of {SHIFTED_NIGHTS} nights each", table)


def with_interval(cell: Row) -> str:
    low, high = cell["ci95"]
    return f"{cell['share']:.2%} [{low:.2%}, {high:.2%}]"


if __name__ == "__main__":
    main()
