"""Divide the user's examples into calibration, selection and test, by their content.

Nothing is trained here, so most examples are left for the test. An example's split depends on its bytes alone, so it
stays the same when others are added.
"""

from dataclasses import dataclass

import numpy as np

from octavo.data import split_assignment
from octavo.project.errors import DataError
from octavo.reporting.one_command.given.pool import Places, Pool

TEST, SELECTION = 0.6, 0.5
"""Share of all examples for the test, and share of the others for selection."""
MOST = {"calibration": 500, "selection": 1_000, "test": 10_000}
"""Largest number of examples in a split. More change no decision, and take time."""
SEED = 0
LEAST = 3
"""Different examples that a class needs to be in all three splits."""


@dataclass(frozen=True)
class Part:
    """One split: some examples of a pool."""

    pool: Pool
    places: Places

    def name(self, place: int) -> str:
        """The user's name of an example, from its index in the split."""
        return self.pool.name(int(self.places[place]))


def divide(data: Pool, calibration: Pool | None, test: Pool | None) -> dict[str, Part]:
    """The three splits, by name.

    Args:
        data: to be divided.
        calibration: examples for calibration, if they are given apart. Then none of `data` are taken for it.
        test: likewise, for the test.

    Raises:
        DataError: there are too few different examples.
    """
    names = [name for name, given in (("calibration", calibration), ("selection", None), ("test", test)) if not given]
    different = len(np.unique(data.digests))
    if different < len(names):
        raise DataError(
            f"--data has {different} different examples, and {', '.join(names)} need one each. Add some; hundreds "
            "are needed to prove anything."
        )
    strata = _strata(data)
    places = {"selection": np.arange(len(data))}
    if not test:
        held = _held_out(data, strata, places["selection"], TEST, "test", leave=1 if calibration else 2)
        places |= {"test": places["selection"][held], "selection": places["selection"][~held]}
    if not calibration:
        held = _held_out(data, strata, places["selection"], SELECTION, "selection", leave=1)
        places |= {"selection": places["selection"][held], "calibration": places["selection"][~held]}
    parts = {name: Part(data, places[name]) for name in names}
    for name, given in (("calibration", calibration), ("test", test)):
        if given:
            parts[name] = Part(given, np.arange(len(given)))
    return {name: _limited(parts[name], MOST[name], name) for name in MOST}


def _held_out(data: Pool, strata: np.ndarray, places: Places, share: float, part: str, leave: int) -> np.ndarray:
    return split_assignment.held_out(data.digests[places], strata[places], share, SEED, part, leave)


def _strata(data: Pool) -> np.ndarray:
    """Labels by which splits are balanced, int64 (N,). Classes with too few examples are put together."""
    if data.labels is None:
        return np.zeros(len(data), np.int64)
    counts = split_assignment.different_images(data.digests, data.labels, int(data.labels.max()) + 1)
    rare = counts < LEAST
    strata = np.where(rare[data.labels], len(counts), data.labels)
    alone = len(np.unique(data.digests[strata == len(counts)]))
    return np.zeros(len(data), np.int64) if 0 < alone < LEAST else strata


def _limited(part: Part, most: int, name: str) -> Part:
    if len(part.places) <= most:
        return part
    strata = _strata(part.pool)[part.places]
    digests = part.pool.digests[part.places]
    return Part(part.pool, part.places[split_assignment.stratified(digests, strata, most, SEED, name)])
