"""Count equal examples once.

A test counts examples as independent of each other, and a copy says nothing new. An example whose copy has another
label is no evidence at all, because one of the two labels is wrong. Copies are found before examples are divided, by
the bytes of their files, and once more in the splits, by their pixels: a photo may have been saved twice.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from octavo.data import duplicates, split_assignment
from octavo.data.sources.raw import Array
from octavo.data.split_assignment import Digests
from octavo.project.errors import DataError
from octavo.reporting.one_command.given.pool import Labels, Pool

ORDER = ("test", "selection", "calibration")
"""Of equal examples, the one in the first of these splits stays."""
Mask = npt.NDArray[np.bool_]


def left_out(pool: Pool, whose: str) -> tuple[Pool, list[str]]:
    """The pool with one example of each content, and what was left out, as sentences.

    Args:
        pool: the examples.
        whose: the option that gave them, for the sentences.

    Raises:
        DataError: no example is left.
    """
    doubtful = np.zeros(len(pool), np.bool_)
    if pool.labels is not None:
        doubtful = split_assignment.contradicted(pool.digests, pool.labels)
    kept = split_assignment.first_of_each(pool.digests) & ~doubtful
    said = _said(kept, doubtful, f"of {whose}", "the same content as others")
    if pool.labels is not None and doubtful.any():
        said.append(_pair(pool.digests, pool.labels, pool.name))
    if not kept.any():
        raise DataError(f"No example of {whose} can be used. {' '.join(said)}")
    return (pool.only(np.flatnonzero(kept)) if said else pool), said


def drop(
    images: dict[str, Array], labels: dict[str, Labels | None], names: Mapping[str, Callable[[int], str]]
) -> list[str]:
    """Drop examples whose pixels another one has, in place: one that stays, or one with another label.

    Args:
        images: as stored, by split.
        labels: by split; None where they are unknown.
        names: split -> index there -> the user's name of an example.

    Returns:
        What was dropped, as sentences.

    Raises:
        DataError: a split has no example left.
    """
    digests = {split: duplicates.pixel_digests(images[split]) for split in ORDER}
    known = {split: found for split in ORDER if (found := labels[split]) is not None}
    together = np.concatenate([digests[split] for split in known] or [np.zeros(0, "S16")])
    values = np.concatenate([*known.values()] or [np.zeros(0, np.int64)])
    wrong = np.unique(together[split_assignment.contradicted(together, values)])
    said = [_pair(together, values, lambda place: _name(place, known, names))] if len(wrong) else []
    seen = wrong
    for split in ORDER:
        own, doubtful = digests[split], np.isin(digests[split], wrong)
        kept = split_assignment.first_of_each(own) & ~np.isin(own, seen)
        seen = np.union1d(seen, own)
        said += _said(kept, doubtful, f"for {split}", "the same pixels as others")
        if not kept.any():
            raise DataError(f"No example for {split} is left. {' '.join(said)} Give others.")
        if not kept.all():
            images[split] = images[split][kept]
            labels[split] = known[split][kept] if split in known else None
    return said


def _said(kept: Mask, doubtful: Mask, of: str, why: str) -> list[str]:
    """What was left out, one sentence for each reason.

    Args:
        kept: of all examples, those that stay.
        doubtful: likewise, those whose copy has another label.
        of: whose they are.
        why: what makes the others copies, as a clause.
    """
    said = []
    if n := int((~kept & ~doubtful).sum()):
        said.append(f"{n:,} examples {of} are left out: they have {why}, and a copy proves nothing more.")
    if n := int(doubtful.sum()):
        said.append(f"{n:,} examples {of} are left out: their copies have other labels, so one of the labels is wrong.")
    return said


def _pair(digests: Digests, labels: Labels, name: Callable[[int], str]) -> str:
    """A sentence that names the first two equal examples with different labels.

    Args:
        digests: (N,) of the examples.
        labels: (N,) of them.
        name: index -> the user's name of an example.
    """
    one = int(split_assignment.contradicted(digests, labels).argmax())
    other = int(((digests == digests[one]) & (labels != labels[one])).argmax())
    return f"{name(one)} and {name(other)} are equal and have different labels: correct one of them."


def _name(place: int, known: Mapping[str, Labels], names: Mapping[str, Callable[[int], str]]) -> str:
    """The name of an example, from its index among those of all splits with labels.

    Args:
        place: the index.
        known: labels by split, in the order of the index.
        names: split -> index there -> name.
    """
    for split, found in known.items():
        if place < len(found):
            return names[split](place)
        place -= len(found)
    raise IndexError(place)
