"""Scorecards of what was measured never contradict themselves; a figure changed alone does."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from octavo.data.splits import Split
from octavo.evaluation.scorecard import Parity, Scorecard, Scorecards, Size
from octavo.project.params.policy import Policy
from octavo.promotion.contradictions import contradictions, in_pair
from octavo.promotion.evidence import Grounds, faults
from octavo.tasks import classification

MakeCard = Callable[..., Scorecard]
FREE = {
    "latency.threads",
    "latency.batches.1.n",
    "latency.batches.1.p90_us",
    "latency.batches.1.p99_us",
    "latency.batches.64.n",
    "latency.batches.64.p90_us",
    "latency.batches.64.p99_us",
    "size.weight_bytes",
    "size.floor_ratio",
    "proof.integer_weight_share",
    "acceptance.n",
    "acceptance.sqnr_db",
    "acceptance.min_sqnr_db",
    "acceptance.relative_rms_error",
    "acceptance.agreement",
    "acceptance.clipped_biases",
    "acceptance.clipped_weights",
    "acceptance.unmatched_weights",
    "parity.network.equal",
    "parity.network.largest",
    "parity.network.top1",
    "parity.reference kernels.equal",
    "parity.reference kernels.largest",
    "parity.reference kernels.top1",
    "latency.batches.1.ratio_ci95.1",
    "latency.batches.64.ratio_ci95.1",
}
"""What nothing else in the scorecard tells to be true. The upper end of a ratio's interval, which is judged, can be
raised, and not be lowered."""
PART = Parity(
    top1=8,
    n=10,
    identical=0.5,
    largest=1,
    step=None,
    equal=17,
    values=20,
    kernels="XNNPACK",
    reference_kernels="reference kernels",
)
"""Slow kernels get the first images only."""


def logits(answers: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[answers]


def measured(
    make_card: MakeCard, labels: np.ndarray, answers: np.ndarray, before: np.ndarray, k: int
) -> list[Scorecard]:
    """Baseline and variant with these answers, and figures as the stages find them."""
    test = Split(np.zeros((len(labels), 1, 1), np.uint8), labels)
    names = [f"class {label}" for label in range(k)]
    cards = []
    for name, found, size in (("onnx_fp32", before, 4000), ("onnx_int8_static", answers, 1000)):
        quality = classification.judge(test, logits(found, k), logits(before, k), classes=names)
        same = int((found == before).sum())
        parity = Parity(
            top1=same,
            n=len(labels),
            identical=same / len(labels),
            largest=3,
            step=None,
            equal=k * len(labels) - 2 * (len(labels) - same),
            values=k * len(labels),
        )
        card = make_card(name).model_copy(
            update={
                "quality": quality,
                "size": Size(file_bytes=size, weight_bytes=900, ratio=size / 4000, floor_ratio=1.2),
                "parity": {"network": parity, "reference kernels": PART.model_copy(update={"values": 10 * k})},
            }
        )
        cards.append(card)
    return cards


@pytest.fixture
def pair(make_card: MakeCard) -> list[Scorecard]:
    generator = np.random.default_rng(0)
    labels = np.arange(600) % 3
    before, answers = labels.copy(), labels.copy()
    before[generator.choice(600, 60, replace=False)] += 1
    answers[generator.choice(600, 90, replace=False)] += 2
    return measured(make_card, labels, answers % 3, before % 3, 3)


@given(st.data(), st.integers(2, 5))
@settings(deadline=None, max_examples=40)
def test_what_was_measured_does_not_contradict_itself(data: st.DataObject, classes: int) -> None:
    n = data.draw(st.integers(classes, 60))
    answer = st.lists(st.integers(0, classes - 1), min_size=n, max_size=n).map(np.array)
    labels = np.arange(n) % classes
    test = Split(np.zeros((n, 1, 1), np.uint8), labels)
    before, found = logits(data.draw(answer), classes), logits(data.draw(answer), classes)
    quality = classification.judge(test, found, before)
    assert list(in_pair(quality.vs_baseline, quality, "vs_baseline")) == []
    beside = classification.pair(labels, found, logits(data.draw(answer), classes))
    assert list(in_pair(beside, quality, "beside")) == []


def test_a_whole_scorecard_of_measured_figures_is_sound(pair: list[Scorecard]) -> None:
    baseline, card = pair
    assert list(contradictions(baseline, baseline)) == []
    assert list(contradictions(card, baseline)) == []


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a scorecard numbers are, one of each list."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            yield from leaves(each, (*path, place))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def changed(card: Scorecard, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Scorecard:
    content = card.model_dump(mode="python")
    at: Any = content
    for key in path[:-1]:
        if isinstance(at[key], tuple):
            at[key] = list(at[key])
        at = at[key]
    at[path[-1]] = change(at[path[-1]])
    return Scorecard.model_construct(**{**dict(card), **dict(Scorecard.model_validate(content))})


def test_a_figure_that_was_changed_alone_is_found_out(pair: list[Scorecard]) -> None:
    baseline, card = pair
    paths = [path for path in leaves(card.model_dump()) if path[0] in ("quality", "size", "latency", "proof", "parity")]
    assert len(paths) > 50
    unseen = set()
    for path in paths:
        better = (lambda figure: figure * 4 + 1) if path[0] == "latency" else (lambda figure: figure + 1)
        if not list(contradictions(changed(card, path, better), baseline)):
            unseen.add(".".join(map(str, path)))
    assert unseen <= FREE


def test_only_other_kernels_are_compared_on_a_part_of_the_images(pair: list[Scorecard]) -> None:
    baseline, card = pair
    for name in ("network", "litert_int8_static"):
        forged = card.model_copy(update={"parity": {name: card.parity["reference kernels"]}})
        assert f"parity with {name}: 8 of 10 images" in "; ".join(contradictions(forged, baseline))


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf, -1.0])
def test_numbers_that_are_none_or_negative_are_refused(pair: list[Scorecard], figure: float) -> None:
    baseline, card = pair
    for update in (
        {"size": card.size.model_copy(update={"ratio": figure})},
        {"quality": card.quality.model_copy(update={"top1": figure})},
        {
            "latency": card.latency.model_copy(
                update={
                    "batches": {
                        batch: each.model_copy(update={"ratio": figure}) for batch, each in card.latency.batches.items()
                    }
                }
            )
        },
        {"proof": card.proof.model_copy(update={"integer_compute_share": figure})},
    ):
        assert list(contradictions(card.model_copy(update=update), baseline))


@pytest.mark.parametrize(
    ("update", "clause"),
    [
        ({"integer_compute_share": 0.9, "float_nodes": []}, "0.9, but no operator stays float"),
        ({"integer_compute_share": 1.5}, "1.5, and a share is 0 to 1"),
    ],
)
def test_an_integer_share_is_held_to_the_operators(pair: list[Scorecard], update: dict[str, Any], clause: str) -> None:
    baseline, card = pair
    forged = card.model_copy(update={"proof": card.proof.model_copy(update=update)})
    assert clause in "; ".join(contradictions(forged, baseline))


def test_a_ratio_of_times_is_held_to_the_medians(pair: list[Scorecard]) -> None:
    baseline, card = pair
    single = card.latency.batches["1"]
    fast = single.model_copy(update={"ratio": single.ratio / 3, "ratio_ci95": (single.ratio / 3, single.ratio / 3)})
    forged = card.model_copy(
        update={"latency": card.latency.model_copy(update={"batches": {**card.latency.batches, "1": fast}})}
    )
    assert "but the medians are" in "; ".join(contradictions(forged, baseline))
    none = card.model_copy(update={"latency": card.latency.model_copy(update={"batches": {}})})
    assert "single images were not timed" in "; ".join(contradictions(none, baseline))


def test_grounds_are_held_together(pair: list[Scorecard]) -> None:
    baseline, card = pair
    scorecards = Scorecards(pipeline="p", machine={}, data={}, scorecards=pair)
    policy = Policy(max_accuracy_drop=0.01, max_size_ratio=0.5, max_latency_ratio=1.05)
    beside = {"champion": card.quality.vs_baseline}
    grounds = Grounds(
        variant=card.variant,
        baseline=baseline.variant,
        policy=policy,
        scorecards=scorecards,
        same_answers=1,
        beside=beside,
    )
    assert list(faults(grounds)) == []
    assert "no share of 600 images" in "; ".join(faults(grounds.model_copy(update={"same_answers": 0.99999})))
    assert list(faults(grounds.model_copy(update={"same_answers": 1.01})))
    for sure in (7.0, 1.0, 0.0):
        with pytest.raises(ValidationError):
            Grounds.model_validate(grounds.model_dump() | {"sure": sure})
    better = {"champion": beside["champion"].model_copy(update={"broke": 0})}
    assert "beside the champion" in "; ".join(faults(grounds.model_copy(update={"beside": better})))
    other = {"champion": beside["champion"].model_copy(update={"per_class": {"any": (0, 0, 600)}})}
    assert list(faults(grounds.model_copy(update={"beside": other})))
    few = changed(card, ("quality", "n"), lambda _: 10**9)
    rest = scorecards.model_copy(update={"scorecards": [baseline, few]})
    assert "quality: the confusion matrix is none of 1000000000 images" in "; ".join(
        faults(grounds.model_copy(update={"scorecards": rest}))
    )
