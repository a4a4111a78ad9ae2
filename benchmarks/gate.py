"""How often the gate is wrong: `python benchmarks/gate.py` (about a minute on one core).

Counts exactly, and simulates beside it, how often a variant passes whose true loss is the margin, by the gate, by
Tango's score limit and by the plain rule that the observed drop must not exceed the margin; how often a variant without
loss passes on as many test images as the report names; and how often recall is refused by class. Prints tables, writes
`benchmarks/results/gate.json`, and ends with exit code 1 where the gate exceeds what it promises.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy.stats import binom, norm

from octavo.project.params.policy import Policy
from octavo.promotion.gate import recall
from octavo.statistics.noninferiority import chance_to_pass, fewest_fixed, images_needed
from octavo.statistics.paired_proportions import score
from octavo.tasks.quality import Paired

TRIALS, SEED, LEVEL, POWER = 10_000, 0, 0.05, 0.9
LARGEST = 0.1
"""Discordance rate up to which the largest chance is sought."""
SIZES = [(n, margin) for margin in (0.005, 0.01, 0.02) for n in (50, 100, 200, 359, 1000, 3000)] + [(10_000, 0.01)]
AT_THE_MARGIN = [(359, 0.02), (1000, 0.02), (3000, 0.0101), (3000, 0.02), (10_000, 0.011), (10_000, 0.02)]
WITHOUT_LOSS = [0.005, 0.01, 0.02, 0.05]
RECALL = [
    (36, 0.0, 0.03, 0.0),
    (36, 0.05, 0.08, 0.0),
    (300, 0.05, 0.06, 0.0),
    (36, 0.0, 0.03, 0.4),
    (300, 0.0, 0.03, 0.2),
]
"""Images a class, true fall of every class, discordance rate, and what the first class lost besides."""
POLICY = Policy(max_accuracy_drop=0.01, max_recall_drop=0.05, max_size_ratio=1, max_latency_ratio=1)
CLASSES = 10
RESULTS = Path(__file__).parent / "results" / "gate.json"

Row = dict[str, float]
Integers = npt.NDArray[np.int64]


def main() -> None:
    generator = np.random.default_rng(SEED)
    figures = {
        "largest chance to pass with a loss at the margin": [largest(n, margin) for n, margin in SIZES],
        "chance to pass with a loss at the margin": [at_the_margin(*case, generator) for case in AT_THE_MARGIN],
        "chance to pass without loss": [without_loss(rate, generator) for rate in WITHOUT_LOSS],
        "chance that recall is refused": [refused(*case, generator) for case in RECALL],
    }
    broken = [f"{title}: {row}" for title, rows in figures.items() for row in rows if not holds(row)]
    RESULTS.write_text(json.dumps({"trials": TRIALS, "seed": SEED} | figures, indent=1) + "\n", encoding="utf-8")
    for title, rows in figures.items():
        show(title, rows)
    sys.exit("\n".join(["Beyond what is promised:", *broken]) if broken else 0)


def largest(n: int, margin: float) -> Row:
    """The largest chance over the discordance rates from the margin to a tenth, counted exactly."""
    discordant = np.arange(min(n, math.ceil(n * LARGEST + 6 * math.sqrt(n * LARGEST)) + 9) + 1)
    rates = np.geomspace(margin * (1 + 1e-9), LARGEST, 80)[:, None]
    likely, share = binom.pmf(discordant, n, rates), (rates - margin) / (2 * rates)
    row: Row = {"images": n, "margin": margin}
    rules = {"tango": fewest_by_score(discordant, n, margin), "gate": fewest_fixed(discordant, n, margin)}
    for rule, fewest in rules.items():
        chances = (likely * binom.sf(fewest - 1, discordant, share)).sum(1)
        row |= {rule: rounded(chances.max()), f"{rule} at": rounded(rates[chances.argmax(), 0])}
    return row


def fewest_by_score(discordant: Integers, n: int, margin: float) -> Integers:
    """How many of so many discordant images must be fixed for Tango's limit to lie above -margin."""
    fixed = np.arange(discordant[-1] + 2)
    high = score(discordant[:, None] - fixed, fixed + 0 * discordant[:, None], n, -margin) > norm.ppf(1 - LEVEL)
    return np.asarray((high | (fixed > discordant[:, None])).argmax(1))


def at_the_margin(n: int, discordance: float, generator: np.random.Generator) -> Row:
    """A true loss of exactly the margin: at most one in twenty may pass."""
    margin = POLICY.max_accuracy_drop
    broke, fixed = trials(n, -margin, discordance, generator)
    return {
        "images": n,
        "discordance": discordance,
        "exact": rounded(chance_to_pass(n, -margin, discordance, margin)),
        "simulated": rounded(passed(broke, fixed, n)),
        "plain rule": rounded(float((broke - fixed <= n * margin + 1e-9).mean())),
    }


def without_loss(discordance: float, generator: np.random.Generator) -> Row:
    """No loss, on as many images as the report names: nine in ten must pass."""
    margin = POLICY.max_accuracy_drop
    n = images_needed(discordance, margin)
    return {
        "discordance": discordance,
        "images named": n,
        "exact": rounded(chance_to_pass(n, 0.0, discordance, margin)),
        "simulated": rounded(passed(*trials(n, 0.0, discordance, generator), n)),
    }


def refused(images: int, fall: float, discordance: float, lost: float, generator: np.random.Generator) -> Row:
    """How often any class is refused: in no more than one of twenty where none lost more than its limit."""
    drawn = [trials(images, -fall, discordance, generator) for _ in range(CLASSES)]
    drawn[0] = trials(images, -fall - lost, discordance + lost, generator)
    counts = np.array(drawn).transpose(2, 0, 1)
    by_class = [{str(name): (int(b), int(f), images) for name, (b, f) in enumerate(trial)} for trial in counts]
    some = Paired(delta=0, ci=(0, 0), broke=0, fixed=0, agreement=1)
    found = [recall(some.model_copy(update={"per_class": classes}), POLICY) for classes in by_class]
    return {
        "images a class": images,
        "every class fell": fall,
        "one besides": lost,
        "simulated": rounded(float(np.mean([not reason.met for reason in found]))),
    }


def trials(n: int, delta: float, discordance: float, generator: np.random.Generator) -> tuple[Integers, Integers]:
    """Broke and fixed, of so many images, in each trial."""
    lost, won = (discordance - delta) / 2, (discordance + delta) / 2
    broke, fixed, _ = generator.multinomial(n, [lost, won, 1 - lost - won], TRIALS).T
    return broke, fixed


def passed(broke: Integers, fixed: Integers, n: int) -> float:
    """Share of the trials that the gate lets pass."""
    counts, where = np.unique(broke + fixed, return_inverse=True)
    return float((fixed >= fewest_fixed(counts, n, POLICY.max_accuracy_drop)[where]).mean())


def holds(row: Row) -> bool:
    """Whether the gate keeps its word in this row: the simulated chance to within two of its standard errors."""
    exact, simulated = row.get("exact", row.get("gate")), row.get("simulated")
    if "images named" in row:
        return row["exact"] >= POWER and row["simulated"] >= POWER - 2 * error(POWER)
    if row.get("one besides"):
        return True
    return (exact is None or exact <= LEVEL) and (simulated is None or simulated <= LEVEL + 2 * error(LEVEL))


def error(chance: float) -> float:
    """Standard error of a chance simulated."""
    return math.sqrt(chance * (1 - chance) / TRIALS)


def rounded(chance: float) -> float:
    return round(float(chance), 4)


def show(title: str, rows: list[Row]) -> None:
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*(f"{value:,}" for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
