"""The figures of one model file beside the network that it was made of: one cell of the table."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from benchmarks.architectures import peer
from benchmarks.architectures.catalogue import CLASSES
from octavo.backends import latency as backends_latency
from octavo.backends import layer_sqnr, predictor, registry
from octavo.backends.operators import Operator
from octavo.backends.predictor import Predictor
from octavo.backends.registry import open_model
from octavo.evaluation.integer_coverage import prove
from octavo.statistics.signal_to_noise import decibels

Cell = dict[str, Any]

BASELINES = {".onnx": "onnx_fp32", ".tflite": "litert_fp32"}
"""The float recipe whose time others of its runtime are held to."""
HELD_TO_PEER = ("onnx_int8_static", "onnx_int8_qat")
SLOWER = 1.05
"""Limit of the ratio to the peer's time."""
PATIENCE = 2
"""How often rounds are trebled while the ratio's interval lies on both sides of the limit."""


@dataclass(frozen=True)
class Network:
    """An exported network, and what it gives of the test images."""

    path: Path
    logits: np.ndarray
    left: list[str]
    """Layers that quantization-aware training leaves in float, by name."""

    @property
    def classifies(self) -> bool:
        return self.logits.shape[1] == CLASSES


def look(path: Path, network: Network, images: np.ndarray) -> Cell:
    """Everything about the file but its time."""
    predict = open_model(path)
    logits = predictor.logits(predict, images)
    cell: Cell = {"file_bytes": path.stat().st_size, "finite": bool(np.isfinite(logits).all())}
    if not cell["finite"]:
        return cell
    noise = network.logits - logits.astype(np.float64)
    cell["sqnr_db"] = round(decibels(float((network.logits.astype(np.float64) ** 2).sum()), float((noise**2).sum())), 1)
    if network.classifies:
        cell |= _agreement(network.logits, noise)
    proof = prove(path)
    cell["integer_weight_share"] = proof.integer_weight_share
    cell["integer_compute_share"] = proof.integer_compute_share
    cell |= _float_part(registry.backend_of(path).operators(path, None))
    jump = layer_sqnr.jump(network.path, layer_sqnr.measure(path, network.path, images, predict.feed(images[:64])))
    return cell | {"jump": None if jump is None else jump.model_dump(), "left": network.left}


def time(files: Mapping[str, Path], cells: Mapping[str, Cell], images: np.ndarray, rounds: int) -> None:
    """Put latency ratios at batch 1 into the cells: to FP32 of the same runtime, and to the peer.

    Args:
        files: by recipe, those that can be opened.
        cells: by recipe.
        images: to be run, (N, ...).
        rounds: of blocks of calls, all interleaved.
    """
    for suffix, baseline in BASELINES.items():
        predictors = {name: open_model(path) for name, path in files.items() if path.suffix == suffix}
        if baseline in predictors:
            for name, latency in backends_latency.measure(predictors, baseline, images, 1, rounds).items():
                cells[name] |= {"p50_us": latency.p50_us, "latency_ratio": latency.ratio}
                cells[name]["latency_ratio_ci95"] = latency.ratio_ci95
        if peer.NAME in predictors:
            for name in predictors.keys() & set(HELD_TO_PEER):
                cells[name] |= _beside_peer(predictors[name], predictors[peer.NAME], images, rounds)


def _beside_peer(predict: Predictor, reference: Predictor, images: np.ndarray, rounds: int) -> Cell:
    predictors = {"file": predict, peer.NAME: reference}
    for _ in range(PATIENCE + 1):
        latency = backends_latency.measure(predictors, peer.NAME, images, 1, rounds)["file"]
        low, high = latency.ratio_ci95
        if not low <= SLOWER <= high:
            break
        rounds *= 3
    return {"peer_ratio": latency.ratio, "peer_ratio_ci95": latency.ratio_ci95}


def _agreement(wanted: np.ndarray, noise: np.ndarray) -> Cell:
    """Share of images whose best logit stays the best, and the share that this much noise would leave so.

    The expected share takes the difference of two logits' errors as Gaussian, with the spread that it has here, and
    looks at the best and the second best logit alone.
    """
    got = wanted - noise
    ranked = np.sort(wanted, axis=1)
    margin = ranked[:, -1] - ranked[:, -2]
    order = np.argsort(wanted, axis=1)
    first, second = (np.take_along_axis(noise, order[:, [place]], 1)[:, 0] for place in (-1, -2))
    spread = float((first - second).std())
    return {
        "n": len(wanted),
        "agreement": float((got.argmax(1) == wanted.argmax(1)).mean()),
        "agreement_expected": round(float(norm.cdf(margin / spread).mean()), 4) if spread else 1.0,
    }


def _float_part(operators: Sequence[Operator]) -> Cell:
    """Float operators by type: how many, and their share of all multiply-accumulates; None where it is not known."""
    total = sum(operator.macs or 0 for operator in operators)
    left = [operator for operator in operators if not operator.integer]
    counts: dict[str, list[int | None]] = defaultdict(list)
    for operator in left:
        counts[operator.type.rpartition(".")[2]].append(operator.macs)
    shares = {
        kind: None if None in macs else round(sum(filter(None, macs)) / total, 4) if total else 0.0
        for kind, macs in sorted(counts.items())
    }
    return {
        "float_operators": dict(sorted(Counter(operator.type for operator in left).items())),
        "float_compute": {kind: share for kind, share in shares.items() if share is None or share > 0},
        "operators": dict(sorted(Counter(operator.type for operator in operators).items())),
    }
