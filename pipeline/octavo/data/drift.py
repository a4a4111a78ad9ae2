"""Drift: whether images that came since a manifest was written are like those before. Manifests in, findings out; pure.

All images are judged together, whatever their split: splits are random parts of one set, so together they show most.
Where the source brings a test split of its own, that is another set, and judged by itself.
"""

from collections.abc import Mapping, Sequence
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
"""New images below which no distribution is judged: fewer show but the grossest change."""
LARGEST_STRETCH = 2
"""Times that the range of float pixels may grow or shrink: what is scaled otherwise exceeds it."""


class Finding(Record):
    """What one rule found."""

    rule: str
    images: str
    """Which were judged, for example "420 new images"."""
    value: float
    """`schema`: properties that changed; `added`: images to judge; else the total variation distance, 0..1."""
    limit: float
    p_value: float | None = None
    """How often chance alone makes images at least this different."""
    p_limit: float | None = None
    """Drift is a value of `limit` or more with a p-value of this or less."""
    code: str
    """`<rule>_ok`, `_changed` or `_drifted` where the data are to be refused, `_unjudged` where there is too little."""
    sentence: str

    @property
    def refuses(self) -> bool:
        """Whether somebody should look at the data before anything is trained on them."""
        return self.code.endswith(("_changed", "_drifted"))


def compare(now: Manifest, then: Manifest, limits: Drift) -> tuple[Finding, ...]:
    """Whether the data of `now` are like those of `then`: a finding on the schema, then one a set of images and rule.

    Splits are stable and data usually grow. So where every old count is contained in the new one, the images added are
    tested against the old ones; else all images now against all before, as if none were in both, which errs on the
    quiet side. Each of the n tests (class balance, brightness, contrast) has the level `false_alarms` / n (Bonferroni),
    so that all together refuse images like the old on at most that share of nights.
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
        code="schema_changed" if changed else "schema_ok",
        sentence=f"The data have another form: {'; '.join(changed)}." if changed else "The data have the same form.",
    )


def _amount(new: Arrivals) -> Finding:
    if new.n == 0:
        code, sentence = "ok", f"There are no {new.name.partition(' ')[2]}."
    elif new.n < MINIMUM:
        code, sentence = "unjudged", f"The {new.name} are too few to be judged: it takes {MINIMUM}."
    elif missing := [rule for rule in PIXELS if rule not in new.counts]:
        code = "unjudged"
        sentence = (
            f"Of the {new.name} the class balance alone is judged: one of the manifests is from before "
            f"{' and '.join(missing)} were measured."
        )
    else:
        code, sentence = "ok", f"The {new.name} are judged by the {int(new.before['class_balance'].sum()):,} before."
    return Finding(rule="added", images=new.name, value=new.n, limit=MINIMUM, code=f"added_{code}", sentence=sentence)


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
        code=f"{rule}_{'drifted' if drifted else 'ok'}",
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
