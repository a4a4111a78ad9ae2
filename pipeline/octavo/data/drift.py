"""Drift: whether images that were added since a manifest was written are like the earlier ones.

Manifests go in, findings come out, and nothing else is read or changed. All images are judged together, whatever their
split: splits are random parts of one set, so together they show most. If the source has its own test split, that is
another set and is judged separately.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.data.added_images import PIXELS, Arrivals, arrivals, common_range
from octavo.data.image_statistics import middles
from octavo.data.splits import Manifest
from octavo.project.params.nightly import Drift
from octavo.project.schema import Record
from octavo.statistics.two_sample import distance, p_value, pooled

Bins = Sequence[str] | npt.NDArray[np.float64]
"""Class names, or the middles of a histogram's bins."""

MINIMUM = 20
"""With fewer new images no distribution is judged, because they would show only the largest changes."""
LARGEST_STRETCH = 2
"""Factor by which the range of float pixels may grow or shrink. Another scaling of the pixels exceeds it."""


class DriftState(StrEnum):
    """The result of a rule on the data."""

    OK = "ok"
    CHANGED = "changed"
    """The data have another form."""
    DRIFTED = "drifted"
    """The data differ from the earlier ones."""
    UNJUDGED = "unjudged"
    """There are too few images."""


class Finding(Record):
    """The result of one rule."""

    rule: str
    images: str
    """The images that were judged, for example "420 new images"."""
    value: float
    """`schema`: number of properties that changed; `added`: images to judge; otherwise the total variation distance,
    0..1.
    """
    limit: float
    p_value: float | None = None
    """How often chance alone makes images at least this different."""
    p_limit: float | None = None
    """Drift is a value of at least `limit` with a p-value of at most this."""
    state: DriftState
    sentence: str

    @property
    def code(self) -> str:
        """Rule and state in one word, such as `brightness_drifted`."""
        return f"{self.rule}_{self.state}"

    @property
    def refuses(self) -> bool:
        """Whether a person should look at the data before a network is trained on them."""
        return self.state in (DriftState.CHANGED, DriftState.DRIFTED)


def compare(now: Manifest, then: Manifest, limits: Drift) -> tuple[Finding, ...]:
    """Compare the data of `now` with those of `then`: one finding on the schema, then one per set of images and rule.

    Splits are stable and data usually grow. So if every old count is contained in the new one, the added images are
    tested against the old ones. Otherwise all present images are tested against all earlier ones, as if no image were
    in both, which finds too little rather than too much. Each of the n tests (class balance, brightness, contrast) has
    the level `false_alarms` / n (Bonferroni), so that together they refuse images like the old ones in at most that
    share of nights.

    Args:
        now: manifest of the present data.
        then: manifest of the earlier data.
        limits: tolerance, and the share of false alarms.
    """
    schema = _schema(now, then)
    if schema.refuses:
        return (schema,)
    found = arrivals(now, then)
    tests = [(new, rule) for new in found if new.n >= MINIMUM for rule in new.counts]
    bins = _bins(now, then)
    return (
        schema,
        *(_amount(new) for new in found),
        *(_test(new, rule, bins[rule], limits, len(tests)) for new, rule in tests),
    )


def _schema(now: Manifest, then: Manifest) -> Finding:
    properties: list[tuple[str, Any, Any]] = [
        ("images are of shape", now.image_shape, then.image_shape),
        ("pixels are", now.dtype, then.dtype),
        ("classes are", ", ".join(now.classes), ", ".join(then.classes)),
    ]
    if now.pixel_range and then.pixel_range and now.dtype == then.dtype:
        smaller, larger = sorted(high - low for low, high in (now.pixel_range, then.pixel_range))
        if larger > LARGEST_STRETCH * smaller:
            properties.append(("pixels lie in", list(now.pixel_range), list(then.pixel_range)))
    changed = [f"{what} {after} now, {before} before" for what, after, before in properties if after != before]
    return Finding(
        rule="schema",
        images="all images",
        value=len(changed),
        limit=0,
        state=DriftState.CHANGED if changed else DriftState.OK,
        sentence=f"The data have another form: {'; '.join(changed)}." if changed else "The data have the same form.",
    )


def _amount(new: Arrivals) -> Finding:
    if new.n == 0:
        state, sentence = DriftState.OK, f"There are no {new.what}."
    elif new.n < MINIMUM:
        state, sentence = DriftState.UNJUDGED, f"The {new.name} are too few to be judged: it takes {MINIMUM}."
    elif missing := [rule for rule in PIXELS if rule not in new.counts]:
        state = DriftState.UNJUDGED
        sentence = (
            f"Of the {new.name} the class balance alone is judged: one of the manifests is from before "
            f"{' and '.join(missing)} were measured."
        )
    else:
        state, sentence = (
            DriftState.OK,
            f"The {new.name} are judged by the {int(new.before['class_balance'].sum()):,} before.",
        )
    return Finding(rule="added", images=new.name, value=new.n, limit=MINIMUM, state=state, sentence=sentence)


def _bins(now: Manifest, then: Manifest) -> Mapping[str, Bins]:
    values = common_range(now, then)
    return {"class_balance": now.classes} | ({rule: middles(rule, values) for rule in PIXELS} if values else {})


def _test(new: Arrivals, rule: str, bins: Bins, limits: Drift, n_tests: int) -> Finding:
    counts, before = new.counts[rule], new.before[rule]
    compared = (counts, before) if rule == "class_balance" else pooled(counts, before)
    p_limit = limits.false_alarms / n_tests
    value, p = distance(*compared), p_value(*compared, p_limit)
    drifted = value >= limits.tolerance and p <= p_limit
    return Finding(
        rule=rule,
        images=new.name,
        value=value,
        limit=limits.tolerance,
        p_value=p,
        p_limit=p_limit,
        state=DriftState.DRIFTED if drifted else DriftState.OK,
        sentence=(
            f"{_difference(rule, bins, new)}: {value:.0%} of them would have to differ to be like those before, "
            f"{limits.tolerance:.0%} may; by chance that happens with p = {p:.2g}, drift begins at {p_limit:.2g}."
        ),
    )


def _difference(rule: str, bins: Bins, new: Arrivals) -> str:
    after, before = (counts[rule] / counts[rule].sum() for counts in (new.counts, new.before))
    if rule == "class_balance":
        most = int(np.abs(after - before).argmax())
        return f"Class '{bins[most]}' is {after[most]:.0%} of the {new.name}, {before[most]:.0%} before"
    return f"Mean {rule} is {after @ bins:.3g} in the {new.name}, {before @ bins:.3g} before"
