"""The best way to quantize a network, found by trial on the selection split, and the repair of what lost too much."""

import time
from collections.abc import Sequence
from itertools import product
from typing import Annotated

import onnx
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
    """What to try."""

    methods: Annotated[tuple[str, ...], Field(min_length=1)] = tuple(METHODS)
    per_channel: Annotated[tuple[bool, ...], Field(min_length=1)] = (True, False)
    bias_correction: bool = True
    equalize: bool = True
    """Cross-layer equalization, where one convolution alone feeds another."""
    float_layers: tuple[tuple[NonNegativeInt, ...], ...] = ()
    """Sets of layers to leave in float, each tried; counted from 0 in graph order."""
    float_operators: tuple[tuple[str, ...], ...] = ()
    """Sets of operators without weights to leave in float, each tried: `[[Add], [Add, AveragePool]]`."""
    latency: bool = False
    """Among equals take the fastest, as measured here: the one choice that depends on the machine."""
    seconds: NonNegativeFloat = 60
    """No new round of trials is begun after this time. The rounds made until then are deterministic."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Threads, each with a trial of its own in memory."""

    @field_validator("methods")
    @classmethod
    def _are_known(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_known, methods))


class Repair(Model):
    """When and how far layers go back to float."""

    max_accuracy_drop: Annotated[float, Field(ge=0, lt=1)] = 0.001
    """Accuracy on the selection split that integers may cost."""


def search(bench: Bench, start: Choice, space: Search) -> Choice:
    """The best choice: over calibration methods and granularity, then for the best of each over its refinements.

    The layers that `start` leaves in float stay so.

    Raises:
        NotFinite: the network itself gives logits that are NaN or infinite.
        ParamsError: the space names a layer that the network does not have.
    """
    forms = _forms(bench.model, space)
    end = time.monotonic() + space.seconds
    first = [
        start.model_copy(update={"method": method, "per_channel": each})
        for method, each in product(space.methods, space.per_channel)
    ]
    trials = bench.try_all(first, space.workers)
    if time.monotonic() < end:
        trials += bench.try_all(_refined(bench, trials, space, forms), space.workers)
    kept = _sound(bench, trials)
    if space.latency:
        kept = fastest(bench, equals(kept, bench.n))
    return best(kept, bench.n).choice


def _sound(bench: Bench, trials: Sequence[Trial]) -> list[Trial]:
    """The trials that keep the network, and how many are dropped on stderr; all of them where none keeps it.

    What is then chosen is left to repair, or refused when its file is tried.
    """
    limit = bench.samples.min_sqnr_db
    kept = sound(trials, limit)
    if dropped := len(trials) - len(kept):
        story.say(f"{dropped} of {len(trials)} trials have an SQNR below {limit:g} dB and are dropped.")
    return kept or list(trials)


def fastest(bench: Bench, trials: Sequence[Trial]) -> list[Trial]:
    """Those of the trials that are not measurably slower than the fastest, for one image at a time."""
    latency = bench.time([trial.choice for trial in trials])
    limit = min(each.ratio_ci95[1] for each in latency.values())
    return [trial for trial in trials if latency[trial.choice.form].ratio_ci95[0] <= limit]


def _forms(model: onnx.ModelProto, space: Search) -> list[tuple[str, ...]]:
    """Operators to leave in float beside those that are left anyhow, each set of them by the operators' outputs."""
    by_layer = [ptq.layers_at(model, places) for places in space.float_layers]
    by_operator = [
        tuple(node.output[0] for node in model.graph.node if node.op_type in operators)
        for operators in space.float_operators
    ]
    return [form for form in dict.fromkeys([*by_layer, *by_operator]) if form]


def _refined(bench: Bench, trials: Sequence[Trial], space: Search, forms: Sequence[tuple[str, ...]]) -> list[Choice]:
    """The best of each granularity, with what the space allows beyond it."""
    groups = [[trial for trial in trials if trial.choice.per_channel == each] for each in space.per_channel]
    limit = bench.samples.min_sqnr_db
    bases = [best(sound(group, limit) or group, bench.n).choice for group in groups]
    updates: list[dict[str, bool]] = [{"bias_correction": True}] if space.bias_correction else []
    if space.equalize and equalization.applies(bench.model):
        updates += [update | {"equalize": True} for update in ({}, *updates)]
    refined = [base.model_copy(update=update) for base in bases for update in updates]
    mixed = [
        base.model_copy(update={"left": tuple(dict.fromkeys(base.left + form))}) for base in bases for form in forms
    ]
    return refined + mixed


def repair(bench: Bench, choice: Choice, limits: Repair, workers: int = 1) -> Choice:
    """Leave as few layers in float as bring accuracy back within the limits, and the outputs' SQNR.

    Layers are ranked by the damage that quantizing each one alone does to the logits, which needs no labels: leaving
    one out of many damaged ones would show nothing. The shortest prefix of that ranking that is good enough is found by
    bisection, and then every layer in it is tried in integers again.
    """
    enough, least = bench.float_accuracy - limits.max_accuracy_drop, bench.samples.min_sqnr_db

    def left(layers: list[str]) -> Trial:
        return bench.try_out(choice.model_copy(update={"left": (*choice.left, *layers)}))

    def mends(layers: list[str]) -> bool:
        trial = left(layers)
        return trial.accuracy >= enough and trial.sqnr_db >= least

    if mends([]):
        return choice
    layers = [layer for layer in ptq.layers(bench.model) if layer not in choice.left]
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
