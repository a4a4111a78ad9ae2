"""Find the best way to quantize a network by trials on the selection split; repair one that loses too much accuracy."""

import time
from collections.abc import Sequence
from itertools import product
from typing import Annotated

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, field_validator

from octavo.onnx_graph.rewrites import equalization
from octavo.project import story
from octavo.project.params.section import Model
from octavo.quantization import ptq
from octavo.quantization.calibration import METHODS
from octavo.quantization.searching.trial_runner import Bench
from octavo.quantization.searching.trials import Choice, Trial, best, equals, sound


def _known(method: str) -> str:
    if method not in METHODS:
        raise ValueError(f"Unknown calibration method '{method}'. Known: {', '.join(METHODS)}")
    return method


Method = Annotated[str, AfterValidator(_known)]


class Search(Model):
    """The alternatives to try."""

    methods: Annotated[tuple[str, ...], Field(min_length=1)] = tuple(METHODS)
    per_channel: Annotated[tuple[bool, ...], Field(min_length=1)] = (True, False)
    bias_correction: bool = True
    equalize: bool = True
    """Try cross-layer equalization, if a convolution feeds only one other convolution."""
    float_layers: tuple[tuple[NonNegativeInt, ...], ...] = ()
    """Sets of layers to leave in float. Each set is tried. Layers are counted from 0 in graph order."""
    float_operators: tuple[tuple[str, ...], ...] = ()
    """Sets of operators without weights to leave in float. Each set is tried: `[[Add], [Add, AveragePool]]`."""
    latency: bool = False
    """Of equally accurate trials take the fastest on this machine. No other choice depends on the machine."""
    seconds: NonNegativeFloat = 60
    """After this time no new round of trials starts. Each round by itself is deterministic."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Number of threads. Each holds one trial in memory."""

    @field_validator("methods")
    @classmethod
    def _are_known(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_known, methods))


class Repair(Model):
    """When layers go back to float."""

    max_accuracy_drop: Annotated[float, Field(ge=0, lt=1)] = 0.001
    """Largest drop of accuracy on the selection split, compared with the float network."""


def search(bench: Bench, start: Choice, space: Search) -> Choice:
    """Find the best choice. First try all calibration methods and granularities, then refine the best of each.

    Args:
        bench: runs the trials.
        start: the options that are not searched. The layers that it leaves in float stay in float.
        space: what to try.

    Raises:
        NotFinite: the float network gives logits that are NaN or infinite.
        ParamsError: the space names a layer that the network does not have.
    """
    forms = _forms(bench, space)
    end = time.monotonic() + space.seconds
    first = [
        start.model_copy(update={"method": method, "per_channel": each})
        for method, each in product(space.methods, space.per_channel)
    ]
    trials = bench.try_all(first, space.workers)
    if time.monotonic() < end:
        trials += bench.try_all(_refined(bench, trials, space, forms, start.method), space.workers)
    kept = _sound(bench, trials)
    if space.latency:
        kept = fastest(bench, equals(kept, bench.n))
    return best(kept, bench.n).choice


def _sound(bench: Bench, trials: Sequence[Trial]) -> list[Trial]:
    """The trials with sufficient SQNR; the number of the others is printed. If none has sufficient SQNR, all of them.

    In that case `repair` mends the choice, or its file is refused.
    """
    limit = bench.samples.min_sqnr_db
    kept = sound(trials, limit)
    if dropped := len(trials) - len(kept):
        story.say(f"{dropped} of {len(trials)} trials have an SQNR below {limit:g} dB and are dropped.")
    return kept or list(trials)


def fastest(bench: Bench, trials: Sequence[Trial]) -> list[Trial]:
    """The trials that are not measurably slower than the fastest one, with batch size 1.

    The 95% confidence intervals of the latency ratios are compared.
    """
    latency = bench.time([trial.choice for trial in trials])
    limit = min(each.ratio_ci95[1] for each in latency.values())
    return [trial for trial in trials if latency[trial.choice.form].ratio_ci95[0] <= limit]


def _forms(bench: Bench, space: Search) -> list[tuple[str, ...]]:
    """The sets of operators to leave in float in addition to those of the start, each as names of outputs."""
    by_layer = [ptq.layers_at(bench.model, places, bench.kernels) for places in space.float_layers]
    by_operator = [
        tuple(node.output[0] for node in bench.model.graph.node if node.op_type in operators)
        for operators in space.float_operators
    ]
    return [form for form in dict.fromkeys([*by_layer, *by_operator]) if form]


def _refined(
    bench: Bench, trials: Sequence[Trial], space: Search, forms: Sequence[tuple[str, ...]], method: str
) -> list[Choice]:
    """The refinements that the space allows, for the best trial of each granularity.

    If no trial of a granularity has sufficient SQNR, the best of them is best by chance: it may clip more than others
    and lose the most once equalization has mended the weights. Then the method of the start is refined too.

    Args:
        bench: runs the trials.
        trials: the first round.
        space: what to try.
        forms: sets of operators to leave in float, as names of outputs.
        method: of the start.
    """
    bases: list[Choice] = []
    for each in space.per_channel:
        group = [trial for trial in trials if trial.choice.per_channel == each]
        kept = sound(group, bench.samples.min_sqnr_db)
        also = [trial for trial in group if trial.choice.method == method and not kept]
        bases += dict.fromkeys(trial.choice for trial in [best(kept or group, bench.n), *also])
    updates: list[dict[str, bool]] = [{"bias_correction": True}] if space.bias_correction else []
    if space.equalize and equalization.applies(bench.model):
        updates += [update | {"equalize": True} for update in ({}, *updates)]
    refined = [base.model_copy(update=update) for base in bases for update in updates]
    mixed = [
        base.model_copy(update={"left": tuple(dict.fromkeys(base.left + form))}) for base in bases for form in forms
    ]
    return refined + mixed


def repair(bench: Bench, choice: Choice, limits: Repair, workers: int = 1) -> Choice:
    """Leave as few layers in float as needed for sufficient accuracy and SQNR.

    Layers are ranked by the SQNR of the logits when only that layer is quantized. The opposite test, with only that
    layer in float, would show nothing if many layers are damaged. Bisection finds the shortest prefix of the ranking
    that is sufficient. Then each layer in the prefix is tried in integers again.

    Args:
        bench: runs the trials.
        choice: the choice to repair.
        limits: how much accuracy integers may cost.
        workers: number of threads.

    Returns:
        The choice itself if it is good enough; otherwise the same with more layers in float.
    """
    enough, least = bench.float_accuracy - limits.max_accuracy_drop, bench.samples.min_sqnr_db

    def left(layers: list[str]) -> Trial:
        return bench.try_out(choice.model_copy(update={"left": (*choice.left, *layers)}))

    def mends(layers: list[str]) -> bool:
        trial = left(layers)
        return trial.accuracy >= enough and trial.sqnr_db >= least

    if mends([]):
        return choice
    layers = [layer for layer in ptq.layers(bench.model, bench.kernels) if layer not in choice.left]
    alone = [
        choice.model_copy(update={"left": tuple(other for other in layers if other != layer), "bias_correction": False})
        for layer in layers
    ]
    damage = dict(zip(layers, (trial.sqnr_db for trial in bench.try_all(alone, workers)), strict=True))
    ranked = sorted(layers, key=lambda layer: damage[layer])
    low, high = 0, len(ranked)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if mends(ranked[:middle]) else (middle, high)
    kept = ranked[:high]
    for layer in reversed(ranked[:high]):
        fewer = [other for other in kept if other != layer]
        if mends(fewer):
            kept = fewer
    return left(kept).choice
