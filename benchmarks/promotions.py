"""Two hundred nights whose models are neither better nor worse: `python benchmarks/promotions.py` (some minutes).

Every night a hundred images of MNIST are added to ten thousand, a model is drawn whose errors have the same chances as
those of all before it, and the real drift tests and the real gate decide. In a second story each model is a twentieth
of a point worse than the one before: how far below the first does the champion sink, with the anchor and without it?
Prints a table and writes `benchmarks/results/promotions.json`. MNIST comes from $OCTAVO_DATA or the user's cache.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from octavo.data import drift, prepare, sources
from octavo.data.partition import partition
from octavo.data.splits import Manifest, Split
from octavo.project.params.data import Data
from octavo.project.params.nightly import Drift
from octavo.project.params.policy import Policy
from octavo.promotion import gate
from octavo.promotion.decision import outcome
from octavo.tasks import classification

NIGHTS, STARTED, ADDED = 200, 10_000, 100
WORSE = 0.0005
"""Accuracy that each model of the second story is short of the one before."""
UNSURE, SURE = (0.05, 0.6), 0.999
"""A twentieth of the images is got right in six cases of ten, the others almost always: 97.9%, 2.6% discordant."""
POLICY = Policy(max_accuracy_drop=0.01, max_size_ratio=1, max_latency_ratio=1)
DATA = Data(source="mnist")
DRIFT = Drift()
RESULTS = Path(__file__).parent / "results" / "promotions.json"

Right = npt.NDArray[np.bool_]
Row = dict[str, float | int | str]


def main() -> None:
    raw = sources.load(DATA)
    assert raw.test is not None
    labels = raw.test[1]
    rows = [
        {"story": "unchanged quality", **story(labels, 0.0, anchored=True), **alarms(*raw.train, Split(*raw.test))},
        {"story": "a little worse each night", **story(labels, WORSE, anchored=True)},
        {"story": "the same without an anchor", **story(labels, WORSE, anchored=False)},
    ]
    RESULTS.write_text(json.dumps({"nights": NIGHTS, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    show(rows)


def story(labels: npt.NDArray[np.int64], worse: float, anchored: bool) -> Row:
    """Promotions over all nights, by the gate beside the champion and, where `anchored`, the first champion."""
    generator = np.random.default_rng(0)
    chances = np.where(np.arange(len(labels)) % round(1 / UNSURE[0]) == 0, UNSURE[1], SURE)
    anchor = champion = logits(generator.random(len(labels)) < chances, labels)
    found: Counter[str] = Counter()
    champion_is, lowest = 0, 0.0
    for night in range(1, NIGHTS + 1):
        challenger = logits(generator.random(len(labels)) < chances * (1 - night * worse), labels)
        beside = {"champion": champion} | ({"anchor": anchor} if anchored and champion_is else {})
        pairs = [(against, classification.pair(labels, challenger, other)) for against, other in beside.items()]
        reasons = [reason for against, paired in pairs for reason in gate.challenge(paired, POLICY, against)]
        verdict = outcome(reasons)
        found[verdict] += 1
        if verdict == "pass":
            champion, champion_is = challenger, night
            lowest = min(lowest, -float(np.mean(chances) * night * worse))
    return {
        "promoted": found["pass"],
        "kept": found["fail"],
        "underpowered": found["underpowered"],
        "true_loss_of_the_worst_champion": round(lowest, 5),
    }


def logits(right: Right, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Logits that choose the label where it is right, else the next class."""
    return np.eye(10, dtype=np.float32)[np.where(right, labels, (labels + 1) % 10)]


def alarms(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], test: Split) -> Row:
    """Nights refused for drift although every image is drawn from the same; each champion is a night old."""
    order = np.random.default_rng(1).permutation(len(labels))
    images, labels = images[order], labels[order].astype(np.int64)
    then = anchor = manifest(images, labels, STARTED, test)
    refused = 0
    for night in range(1, NIGHTS + 1):
        now = manifest(images, labels, STARTED + night * ADDED, test)
        limits = DRIFT.model_copy(update={"false_alarms": DRIFT.false_alarms / 2})
        found = [*drift.compare(now, then, limits), *drift.compare(now, anchor, limits)]
        refused += any(finding.refuses for finding in found)
        then = now
    return {"refused_for_drift": refused}


def manifest(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], n: int, test: Split) -> Manifest:
    classes = [str(digit) for digit in range(10)]
    parts = partition(Split(images[:n], labels[:n]), test, classes, DATA, published=True)
    return prepare.describe(parts, classes, DATA, own_test=True)


def show(rows: list[Row]) -> None:
    columns = ["promoted", "kept", "underpowered", "refused_for_drift", "true_loss_of_the_worst_champion"]
    table = Table("story", *(column.replace("_", " ") for column in columns))
    for row in rows:
        table.add_row(str(row["story"]), *(str(row.get(column, "")) for column in columns))
    Console().print(table)


if __name__ == "__main__":
    main()
