"""Statements about one variant in words, for its model card and its bill of materials."""

from collections.abc import Iterator
from typing import Any

from octavo.backends import registry
from octavo.backends.onnxruntime import exact_sums
from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.onnx_graph import session_options
from octavo.promotion.decision import Decision
from octavo.reporting.variants_table import kilobytes, microseconds, percent, points, ratio, warnings

WITHOUT = {
    session_options.RUN_IN_FLOAT: "answers change a little and take longer: its weights are stored as integers, and "
    "are meant to compute in float",
}
"""What happens if a session option that the file asks for is not set."""


def summary(card: Scorecard, scorecards: Scorecards) -> str:
    """The variant in one sentence."""
    title = registry.named(card.format).title
    latency = microseconds(card.latency.batches["1"].p50_us)
    return (
        f"Classifies images into {len(scorecards.classes)} classes, as {title} in {card.precision}: "
        f"{percent(card.quality.top1)} of {card.quality.n:,} test images right, {kilobytes(card.size.file_bytes)} kB, "
        f"{latency} µs per image."
    )


def tradeoff(card: Scorecard, decision: Decision) -> str | None:
    """Costs and gains compared with the baseline; None for the baseline itself."""
    if card.variant == decision.baseline:
        return None
    return (
        f"Compared with {decision.baseline}: {points(card.quality.vs_baseline.delta)} points of accuracy, "
        f"{ratio(card.size.ratio)} of its size, {ratio(card.latency.batches['1'].ratio)} of its time for one image."
    )


def limits(card: Scorecard, scorecards: Scorecards, decision: Decision) -> list[str]:
    """The limits that a user of the model must know, what is unknown first.

    Args:
        card: the variant's scorecard.
        scorecards: of all variants.
        decision: of the gate.
    """
    return [*_of_quality(card, scorecards), *_of_the_runtime(card, scorecards), *_of_the_verdict(card, decision)]


def libraries(card: Scorecard, machine: dict[str, Any]) -> dict[str, str]:
    """The libraries that it needs to run, with the versions of the measurement as far as they were recorded."""
    versions = machine.get("versions", {})
    return {name: versions[name] for name in registry.named(card.format).libraries if name in versions}


def _of_quality(card: Scorecard, scorecards: Scorecards) -> Iterator[str]:
    source = scorecards.data.get("source", "one source")
    yield (
        f"It was measured on {card.quality.n:,} test images of {source} and on nothing else: other cameras, other "
        "light and objects outside its classes were not tested."
    )
    recall, name = min(zip(card.quality.per_class_recall, scorecards.classes, strict=True))
    yield f"It finds class {name} least often: {percent(recall)} of its images."
    yield "Its logits say which class is most likely, but not how likely it is: they are not calibrated."


def _of_the_runtime(card: Scorecard, scorecards: Scorecards) -> Iterator[str]:
    for option in card.interface.session_options if card.interface else ():
        if option in WITHOUT:
            yield f"It asks for onnxruntime's session option {option}. Without it {WITHOUT[option]}."
    if card.proof.saturation:
        layers = ", ".join(risk.layer for risk in card.proof.saturation)
        yield (
            "On x86 CPUs without VNNI onnxruntime saturates sums of products at 16 bits, which changes answers, "
            f"in: {layers}. There it needs the session option {exact_sums.OPTION}; Octavo's runtime and its MLflow "
            "flavor set it if it is needed. On other CPUs it changes no answer and takes up to twice the time."
        )
    if card.acceptance and (clipped := card.acceptance.clipped_biases + card.acceptance.clipped_weights):
        yield f"{clipped:,} of its biases and weights are clipped to the range of the integers that hold them."
    if card.proof.integer_weight_share is None or card.proof.integer_compute_share is None:
        names = ", ".join(dict.fromkeys(node.operator for node in card.proof.uncounted)) or "one of its operators"
        yield f"The share that computes in integers is unknown: the operations of {names} cannot be counted."
    if card.proof.integer_weight_share and card.proof.float_nodes:
        yield f"Not all of it computes in integers: {len(card.proof.float_nodes)} operators stay in float."
    yield f"Its times are those of {scorecards.machine.get('cpu', 'one machine')}; measure it on yours."


def _of_the_verdict(card: Scorecard, decision: Decision) -> Iterator[str]:
    judged = decision.verdict(card.variant)
    yield from warnings(decision)
    for reason in judged.unmet if judged else ():
        yield f"It does not meet the policy that it was judged by: {reason}."
    yield from card.notes
