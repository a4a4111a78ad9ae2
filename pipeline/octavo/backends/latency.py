"""Latency of all variants, measured in one process. Each variant alternates with the baseline, so that noise affects
both equally.

In every round, each variant runs a block of calls next to a block of the baseline's calls, in a new random order. The
ratio of the two blocks' medians is one sample. The reported ratio is the median of the samples. Its interval comes from
order statistics, which assume no distribution (Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2).
"""

import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import cpuinfo
import numpy as np
from scipy.stats import quantile_test

from octavo.backends import registry
from octavo.backends.predictor import Predictor
from octavo.backends.records import Latency
from octavo.tasks.logits import fault

BLOCK_SECONDS = 0.01
"""Target duration of a block of calls."""
MAX_CALLS = 100
"""Largest number of calls in a block."""
P99_SAMPLES = 299
"""With fewer calls, no upper 95% bound on the 99th percentile exists: 0.99^299 < 0.05."""
WARM_UP = 20
"""Calls before the measurement; their median decides the number of calls in a block."""
INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")


def measure(  # noqa: PLR0913 - one figure has many conditions
    predictors: Mapping[str, Predictor],
    baseline: str,
    images: np.ndarray,
    batch: int,
    rounds: int,
    *,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Latency]:
    """Latency of every predictor on batches of `batch` images, also as a ratio to the baseline.

    A timed call goes from images in the file's input encoding to logits in float32, as a user's call does. Converting
    integer outputs to logits is part of the time. Preparing the input is not, in any format: this is scaling bytes to
    floats, or rounding floats to the file's input integers.

    Args:
        predictors: name -> model opened for running.
        baseline: name of the predictor that each of them is paired with.
        images: uint8 or float32 (N, H, W[, C]); repeated if N is less than `batch`.
        batch: images per call.
        rounds: blocks of calls for each model.
        seed: of the random order in which the models run.
        advance: called after each round.

    Returns:
        Name -> latency in microseconds per call.
    """
    generator = np.random.default_rng(seed)
    stack = np.resize(images, (batch, *images.shape[1:]))
    feeds = {name: np.ascontiguousarray(predict.feed(stack)) for name, predict in predictors.items()}
    calls = {name: _calls_a_block(predict, feeds[name]) for name, predict in predictors.items()}
    blocks: dict[str, list[np.ndarray]] = {name: [] for name in predictors}
    ratios: dict[str, list[float]] = {name: [] for name in predictors}
    for _ in range(rounds):
        for name in generator.permutation(list(predictors)):
            pair = {}
            for role in generator.permutation(["variant", "baseline"]):
                runner = name if role == "variant" else baseline
                pair[role] = _block(predictors[runner], feeds[runner], calls[runner])
            blocks[name].append(pair["variant"])
            ratios[name].append(float(np.median(pair["variant"]) / np.median(pair["baseline"])))
        advance()
    return {name: _summary(np.concatenate(blocks[name]), np.array(ratios[name])) for name in predictors}


def seconds_a_call(predict: Predictor, images: np.ndarray) -> float:
    """Roughly the seconds of one call on `images`, uint8 or float32 as stored: the median of three calls."""
    return float(np.median(_block(predict, np.ascontiguousarray(predict.feed(images)), 3)))


def sound(predictors: Mapping[str, Predictor], images: np.ndarray) -> tuple[dict[str, Predictor], dict[str, str]]:
    """Split predictors by their logits on `images`, uint8 or float32 (N, H, W[, C]).

    Returns:
        The predictors whose logits are all finite, and name -> a sentence that says why another one is not timed.
    """
    found = {name: fault(predict(images), name) for name, predict in predictors.items()}
    refused = {name: sentence for name, sentence in found.items() if sentence}
    return {name: predict for name, predict in predictors.items() if name not in refused}, refused


def describe_machine() -> dict[str, Any]:
    """What latency depends on: CPU, instruction sets, operating system and runtime versions, ready for JSON."""
    cpu = cpuinfo.get_cpu_info()
    return {
        "cpu": cpu.get("brand_raw", platform.processor()),
        "cores": cpu.get("count"),
        "instruction_sets": [name for name in INSTRUCTION_SETS if name in cpu.get("flags", [])],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    """Versions of the installed libraries of all formats."""
    found = {}
    for name in dict.fromkeys(name for form in registry.formats().values() for name in form.libraries):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _calls_a_block(predict: Predictor, feed: np.ndarray) -> int:
    warm = _block(predict, feed, WARM_UP)
    return int(np.clip(BLOCK_SECONDS / np.median(warm), 1, MAX_CALLS))


def _block(predict: Predictor, feed: np.ndarray, calls: int) -> np.ndarray:
    """Seconds of each of `calls` calls, after one call that is not counted."""
    predict.run(feed)
    times = np.empty(calls)
    for call in range(calls):
        start = time.perf_counter()
        predict.run(feed)
        times[call] = time.perf_counter() - start
    return times


def _summary(seconds: np.ndarray, ratios: np.ndarray) -> Latency:
    p50, p90, p99 = np.percentile(seconds * 1e6, (50, 90, 99))
    interval = quantile_test(ratios, p=0.5).confidence_interval(0.95)
    return Latency(
        n=len(seconds),
        p50_us=round(float(p50), 2),
        p90_us=round(float(p90), 2),
        p99_us=round(float(p99), 2) if len(seconds) >= P99_SAMPLES else None,
        ratio=round(float(np.median(ratios)), 4),
        ratio_ci95=(round(float(interval.low), 4), round(float(interval.high), 4)),
    )
