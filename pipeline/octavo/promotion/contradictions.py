"""Check whether the figures of a scorecard can all be true: compare every ratio, share and interval with its parts.

Figures that pass can still be false, because counts and times come from whoever measured them. But then all of them
are false together.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from scipy.stats import binomtest

from octavo.backends.latency import P99_SAMPLES
from octavo.backends.records import Latency
from octavo.evaluation.scorecard import Latencies, Parity, Scorecard
from octavo.statistics.paired_proportions import score_interval
from octavo.tasks.quality import Paired, Quality

EXACT = 1e-9
"""Relative tolerance between two ways to compute a share."""
INTERVAL = 1e-3
"""Tolerance for the ends of an interval, which may differ between releases of the libraries."""
NOISE = 2
"""Factor by which the ratio of two medians may lie outside the interval of the median ratio. Noise that comes and goes
during a benchmark moves them apart, but less than that.
"""
MOST = 10_000_000
"""Limit for the images of a test split. The gate's bounds take half a minute with that many."""


def contradictions(card: Scorecard, baseline: Scorecard) -> Iterator[str]:
    """The contradictions in a scorecard, alone or beside the baseline's, one clause each.

    Args:
        card: of the variant, or of the baseline itself.
        baseline: of the baseline.
    """
    if unusable := list(_unusable(card.model_dump())):
        yield from unusable
        return
    yield from _in_quality(card.quality)
    if card.quality.n <= MOST:
        yield from _beside_baseline(card, baseline)
        if card.quality.vs_control is not None:
            yield from in_pair(card.quality.vs_control, card.quality, "vs_control")
    yield from _in_size(card, baseline)
    yield from _in_latencies(card.latency, baseline.latency)
    yield from _in_proof(card)
    for name, parity in card.parity.items():
        yield from _in_parity(parity, card, name)
    if card.lineage.data != baseline.lineage.data:
        yield "it and the baseline were measured on other data"


def in_pair(paired: Paired, quality: Quality, where: str, other_answers: int = 0) -> Iterator[str]:
    """The contradictions in a comparison of the variant with a reference on its test images, one clause each.

    Args:
        paired: the comparison, image by image.
        quality: of the variant, on the same images.
        where: name of the comparison, for the clauses.
        other_answers: number of images that may have got another class than in `quality`.
    """
    images, right = [sum(row) for row in quality.confusion], _right(quality)
    broke, fixed, n = paired.broke, paired.fixed, sum(images)
    if min(broke, fixed) < 0 or broke > n - sum(right) + other_answers or fixed > sum(right) + other_answers:
        yield f"{where}: {broke} images broke and {fixed} were fixed, of {n} with {sum(right)} right"
        return
    yield from _differs(f"{where}.delta", paired.delta, (fixed - broke) / n)
    for end, wanted in zip(paired.ci, score_interval(broke, fixed, n), strict=True):
        yield from _differs(f"an end of {where}.ci", end, wanted, INTERVAL)
    both = (sum(right) - fixed - other_answers) / n
    if not both - EXACT <= paired.agreement <= 1 - (broke + fixed) / n + EXACT or _is_no_count(paired.agreement, n):
        yield f"{where}.agreement is {paired.agreement:.6g}, which these counts exclude"
    if paired.per_class:
        yield from _in_classes(list(paired.per_class.values()), paired, images, where)


def _unusable(value: Any, name: str = "") -> Iterator[str]:
    """Numbers that are not finite, or too large for a float to hold exactly."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _unusable(each, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _unusable(each, name)
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{name} is {value}"
    elif isinstance(value, int) and abs(value) > 2**53:
        yield f"{name} is beyond any count"


def _in_quality(quality: Quality) -> Iterator[str]:
    confusion, n = quality.confusion, quality.n
    counts = [count for row in confusion for count in row]
    if not counts or min(counts) < 0 or any(len(row) != len(confusion) for row in confusion) or not 0 < n <= MOST:
        yield f"quality: the confusion matrix is none of {n} images, 1 to {MOST:,}"
        return
    if sum(counts) != n or len(quality.per_class_recall) != len(confusion):
        yield f"quality: the confusion matrix has {sum(counts)} images of {len(confusion)} classes, and n is {n}"
        return
    right = _right(quality)
    yield from _differs("quality.top1", quality.top1, sum(right) / n)
    interval = binomtest(sum(right), n).proportion_ci(method="wilson")
    for end, wanted in zip(quality.ci95, (interval.low, interval.high), strict=True):
        yield from _differs("an end of quality.ci95", end, float(wanted), INTERVAL)
    for row, hits, recall in zip(confusion, right, quality.per_class_recall, strict=True):
        if not sum(row):
            yield "quality: a class has no images"
        else:
            yield from _differs("a recall", recall, hits / sum(row))


def _beside_baseline(card: Scorecard, baseline: Scorecard) -> Iterator[str]:
    """Contradictions in the comparison with the baseline, which has its own confusion matrix for the same images."""
    quality, reference, paired = card.quality, baseline.quality, card.quality.vs_baseline
    if [sum(row) for row in quality.confusion] != [sum(row) for row in reference.confusion]:
        yield "it and the baseline were measured on other images"
        return
    if any(len(row) != len(quality.confusion) for row in quality.confusion + reference.confusion):
        return  # `_in_quality` has reported it
    yield from in_pair(paired, quality, "vs_baseline")
    yield from _differs("vs_baseline.delta", paired.delta, quality.top1 - reference.top1)
    if card.variant == baseline.variant and (paired.broke or paired.fixed or paired.agreement != 1):
        yield "vs_baseline: the baseline differs from itself"
    if not paired.per_class or len(paired.per_class) != len(quality.confusion):
        return
    counts = zip(paired.per_class.items(), _right(quality), _right(reference), strict=True)
    for (name, (broke, fixed, _)), right, before in counts:
        if right - before != fixed - broke:
            yield (
                f"vs_baseline: of class {name} {broke} broke and {fixed} were fixed, yet right are {right} and were "
                f"{before}"
            )


def _in_classes(counts: list[tuple[int, int, int]], paired: Paired, images: list[int], where: str) -> Iterator[str]:
    broke, fixed, seen = ([each[place] for each in counts] for place in range(3))
    if seen != images:
        yield f"{where}: the images of the classes are other ones than in the confusion matrix"
        return
    impossible = any(min(b, f) < 0 or b + f > count for b, f, count in counts)
    if impossible or (sum(broke), sum(fixed)) != (paired.broke, paired.fixed):
        yield (
            f"{where}: {paired.broke} images broke and {paired.fixed} were fixed, class by class {sum(broke)} and "
            f"{sum(fixed)}"
        )


def _in_size(card: Scorecard, baseline: Scorecard) -> Iterator[str]:
    size, whole = card.size, baseline.size.file_bytes
    if min(size.file_bytes, whole) <= 0 or size.weight_bytes < 0 or size.floor_ratio <= 0:
        yield f"size: a file has {size.file_bytes} bytes, {size.weight_bytes} of weights, and the baseline's {whole}"
        return
    yield from _differs("size.ratio", size.ratio, size.file_bytes / whole)


def _in_latencies(found: Latencies, baseline: Latencies) -> Iterator[str]:
    if "1" not in found.batches or found.batches.keys() != baseline.batches.keys() or found.threads < 1:
        yield "latency: single images were not timed, or other batches than of the baseline"
        return
    for batch, latency in found.batches.items():
        yield from _in_latency(latency, baseline.batches[batch], f"latency of batch {batch}")


def _in_latency(found: Latency, baseline: Latency, where: str) -> Iterator[str]:
    times = [found.p50_us, found.p90_us, *([found.p99_us] if found.p99_us is not None else [])]
    if found.n < 1 or times[0] <= 0 or times != sorted(times) or (found.n >= P99_SAMPLES) != (len(times) == 3):
        yield f"{where}: {', '.join(f'{time:g}' for time in times)} µs are no percentiles of {found.n} calls"
        return
    low, high = found.ratio_ci95
    if not 0 <= low <= found.ratio <= high:
        yield f"{where}: the ratio {found.ratio:g} lies outside its interval, {low:g} to {high:g}"
    elif baseline.p50_us > 0 and not low / NOISE <= found.p50_us / baseline.p50_us <= high * NOISE:
        yield (
            f"{where}: the ratio is {found.ratio:g}, {low:g} to {high:g}, but the medians are {found.p50_us:g} and "
            f"{baseline.p50_us:g} µs"
        )


def _in_proof(card: Scorecard) -> Iterator[str]:
    proof = card.proof
    for name in ("integer_weight_share", "integer_compute_share"):
        share = getattr(proof, name)
        if share is not None and not 0 <= share <= 1:
            yield f"proof.{name} is {share:g}, and a share is 0 to 1"
    share = proof.integer_compute_share
    if share is not None and proof.uncounted:
        yield f"proof.integer_compute_share is {share:g}, but {len(proof.uncounted)} operators were not counted"
    if share is not None and 0 < share < 1 and not proof.float_nodes:
        yield f"proof.integer_compute_share is {share:g}, but no operator stays float"
    found = card.acceptance
    if found is None:
        return
    if not 0 <= found.agreement <= 1 or found.n < 1 or found.non_finite or found.sqnr_db < found.min_sqnr_db:
        yield (
            f"acceptance: {found.sqnr_db:g} dB, limit {found.min_sqnr_db:g}, agreement {found.agreement:g} and "
            f"{found.non_finite} values that are not finite of {found.n} images is a refused file"
        )
    if min(found.clipped_biases, found.clipped_weights, found.unmatched_weights) < 0:
        yield "acceptance: a count is negative"


def _in_parity(parity: Parity, card: Scorecard, name: str) -> Iterator[str]:
    """Other kernels, whose name is that of the comparison, get a part of the images."""
    where, n, classes = f"parity with {name}", parity.n, len(card.quality.confusion)
    whole = 1 <= n <= card.quality.n if name == parity.reference_kernels else n == card.quality.n
    if not whole or not 0 <= parity.top1 <= n or parity.largest < 0 or (parity.step or 1) <= 0:
        yield f"{where}: {parity.top1} of {parity.n} images, largest difference {parity.largest:g}"
    elif _is_no_count(parity.identical, n) or parity.identical * n > parity.top1 + EXACT * n:
        yield f"{where}: {parity.identical:g} of {n} images have the same logits, and {parity.top1} the same class"
    elif parity.equal is not None and (
        parity.values != n * classes or not parity.identical * n * classes - EXACT * n <= parity.equal <= parity.values
    ):
        yield f"{where}: {parity.equal} of {parity.values} outputs of {n} images are equal"


def _right(quality: Quality) -> list[int]:
    return [row[label] for label, row in enumerate(quality.confusion)]


def _is_no_count(share: float, n: int) -> bool:
    """Whether the share is not a whole number of `n`."""
    return not 0 <= share <= 1 or not math.isclose(share * n, round(share * n), abs_tol=1e-6, rel_tol=EXACT)


def _differs(name: str, found: float, wanted: float, tolerance: float = 0) -> Iterator[str]:
    if not math.isclose(found, wanted, rel_tol=EXACT, abs_tol=max(tolerance, EXACT)):
        yield f"{name} is {found:.6g}, by its counts it is {wanted:.6g}"


def joined(found: Sequence[str], most: int = 3) -> str:
    """The first of these clauses, and the number of further ones."""
    more = f"; and {len(found) - most} more" if len(found) > most else ""
    return "; ".join(found[:most]) + more
