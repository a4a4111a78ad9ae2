"""Which cells of the table are weak, and why, as far as figures say so.

An explanation is made of facts about the same network: what another quantizer reaches with the same arithmetic, how
many decisions an error of this size must change, which operators stay float, in which layer the error enters. A
weakness that no fact and no line of `KNOWN` explains stays without explanation, and the table says so.
"""

import re
from collections.abc import Mapping

from benchmarks.architectures import peer
from benchmarks.architectures.cells import SLOWER, Cell
from octavo.project.params.variants import CONVERTED

MIN_SQNR, MIN_AGREEMENT, MIN_SHARE = 20.0, 0.99, 0.95
ALIKE_DB = 1.0
"""As far as the figures of two quantizers differ by chance."""
CHANCE = 3.0
"""Standard errors that an agreement may lie below what its noise lets expect."""
REFERENCES = {
    "onnx_int8_static": (peer.NAME,),
    "litert_int8_static": (peer.NAME, "onnx_int8_static"),
    "onnx_int8_weight_only": ("litert_int8_dynamic",),
    "onnx_int8_dynamic": ("litert_int8_dynamic",),
    "litert_int8_dynamic": ("onnx_int8_weight_only", "onnx_int8_dynamic"),
}
"""Other quantizers that round the same tensors to as many bits. None does for QAT, where nothing is left to round.

Here and in what follows a recipe stands for that of TensorFlow's converter, too.
"""
WITHOUT_KERNEL = {"ConvTranspose", "Einsum", "GRU", "LSTM", "RNN", "Scan", "Loop"}
"""Operators that multiply and have no integer kernel in onnxruntime."""
FLOAT_BY_DESIGN = {
    "onnx_int8_dynamic": {
        "onnxruntime's dynamic convolutions take 1.3 to 13 times FP32's time": {"Conv", "FusedConv"},
        "products of two activations stay float, as in onnxruntime's own dynamic quantizer": {"FusedMatMul"},
    },
    "litert_int8_dynamic": {
        "LiteRT computes with fewer than 1,024 weights in float, which is faster": {
            "Conv2d",
            "FullyConnected",
            "TransposeConv",
        },
        "depthwise convolutions in float are faster in LiteRT, and more exact": {"DepthwiseConv2d"},
        "LiteRT's dynamic kernels round what meets stored weights, and no products of activations": {"BatchMatmul"},
    },
}
"""What a recipe leaves in float on purpose, by the reason, as its module says."""
COMPUTES = (
    "onnx_int8_static",
    "onnx_int8_qat",
    "onnx_int8_dynamic",
    "litert_int8_static",
    "litert_int8_qat",
    "litert_int8_dynamic",
)
STORES = (*COMPUTES, "onnx_int8_weight_only")
FAULTS = (" fails: ", "cannot be used", "does not compute what")
"""Words of a refusal that speak of the recipe, not of the network."""
RATIO = re.compile(r"SQNR is (-?[\d.]+) dB")

BETWEEN = "LiteRT's converter computes in integers between two learned ranges alone"
NO_RANGE = f"TFMOT does not round between a dense layer and its batch normalization, and {BETWEEN}"
NO_SELU = (
    "LiteRT has no SELU, so that its converter writes exponentials and rounds between them; with ELU in its place the "
    "file reaches 34.7 dB"
)
KNOWN: dict[tuple[str, str, str], str] = {
    ("efficientnet", "litert_int8_static_tensorflow", "SQNR"): (
        "LiteRT's converter knows min-max ranges alone, and onnx_int8_static reaches 15.9 dB with these"
    ),
    ("prelu_net", "litert_int8_static_tensorflow", "SQNR"): NO_SELU,
    ("prelu_net", "litert_int8_static_tensorflow", "refused"): NO_SELU,
    ("mlp_smooth", "litert_int8_static_tensorflow", "refused"): (
        "LiteRT has no softplus, so that its converter writes an exponential and a logarithm and rounds between them; "
        "with ReLU in its place the file reaches 32.6 dB"
    ),
    ("densenet", "litert_int8_static_tensorflow", "SQNR"): (
        "LiteRT multiplies and adds where no layer takes up a batch normalization, with no bias that could be "
        "corrected; onnx_int8_static without bias correction reaches 19.1 dB"
    ),
    ("swish_net", "litert_int8_qat_tensorflow", "compute"): (
        f"TFMOT rounds behind swish and not before it, and {BETWEEN}"
    ),
    ("autoencoder", "litert_int8_qat_tensorflow", "compute"): NO_RANGE,
    ("mlp_batchnorm", "litert_int8_qat_tensorflow", "compute"): NO_RANGE,
    ("lstm", "litert_int8_static_tensorflow", "crashed"): (
        "XNNPACK, LiteRT's kernels by default, does not take the file that LiteRT's converter writes"
    ),
    ("dilated", "litert_int8_qat_tensorflow", "compute"): (
        "TensorFlow lays the image out anew around a dilated convolution, with no learned range in between, and "
        + BETWEEN
    ),
    ("volumes", "onnx_int8_static", "compute"): (
        "onnxruntime's 3-D convolution in integers takes 6.6 times FP32's time, so they compute in float"
    ),
    ("efficientnet", "onnx_int8_qat", "SQNR"): (
        "the fake-quantized network makes much of a single step: with weights of its first layer off by 0.1%, it is "
        "15.8 dB from itself"
    ),
    ("efficientnet", "litert_int8_qat_tensorflow", "SQNR"): (
        "the fake-quantized network makes much of a single step: with weights of its first layer off by 0.1%, it is "
        "15.8 dB from itself"
    ),
    ("mobilenet_v3", "litert_int8_qat_tensorflow", "refused"): (
        "two layers share a ReLU, so that TFMOT rounds in front of it, too, which LiteRT's converter leaves out; with "
        "one for each layer the file reaches 22.3 dB"
    ),
}
"""By architecture, recipe and kind: explanations that figures alone do not give."""

Weakness = dict[str, str | None]
Found = list[tuple[str, str, str | None]]


def weaknesses(architecture: str, cell: Cell, others: Mapping[str, Cell]) -> list[Weakness]:
    """What is weak about a cell: kind, figure, and explanation or None.

    Args:
        architecture: name of the network.
        cell: of one recipe.
        others: all cells of the network by recipe, with the peer's.
    """
    if "failure" in cell:
        found = _failure(cell, others)
    elif not cell["finite"]:
        found = [("not finite", "outputs are not finite", None)]
    else:
        found = [*_sqnr(cell, others), *_agreement(cell), *_compute(cell), *_weights(cell), *_time(cell)]
    return [
        {"kind": kind, "figure": figure, "explanation": KNOWN.get((architecture, cell["recipe"], kind), explanation)}
        for kind, figure, explanation in found
    ]


def _failure(cell: Cell, others: Mapping[str, Cell]) -> Found:
    """A refusal explains itself, unless the recipe is at fault, or another quantizer does better on this network."""
    reason = cell["reason"]
    if cell["failure"] != "refused" or any(words in reason for words in FAULTS):
        return [("crashed", reason, None)]
    ratio = RATIO.search(reason)
    if ratio is None:
        return [("refused", reason, "the message says what is not possible")]
    return [("refused", reason, _no_better(cell["recipe"], float(ratio[1]), others))]


def _sqnr(cell: Cell, others: Mapping[str, Cell]) -> Found:
    if cell["sqnr_db"] >= MIN_SQNR:
        return []
    explanation, jump = _no_better(cell["recipe"], cell["sqnr_db"], others), cell["jump"]
    if explanation and jump:
        explanation += f"; it jumps at '{jump['layer']}' to {jump['sqnr_db']:.0f} dB"
    return [("SQNR", f"SQNR {cell['sqnr_db']:.1f} dB", explanation)]


def _no_better(recipe: str, ratio: float, others: Mapping[str, Cell]) -> str | None:
    """That other quantizers reach no more than `ratio` in decibels on this network, where that is so."""
    reached = {
        name: others[name]["sqnr_db"]
        for name in REFERENCES.get(_plain(recipe), ())
        if "sqnr_db" in others.get(name, {})
    }
    if not reached or max(reached.values()) > ratio + ALIKE_DB:
        return None
    return "others that round alike reach no more: " + ", ".join(
        f"{name} {value:.1f} dB" for name, value in reached.items()
    )


def _agreement(cell: Cell) -> Found:
    agreement = cell.get("agreement")
    if agreement is None or agreement >= MIN_AGREEMENT:
        return []
    expected = cell["agreement_expected"]
    by_chance = CHANCE * (expected * (1 - expected) / cell["n"]) ** 0.5
    explanation = f"so many decisions are close: noise of {cell['sqnr_db']:.1f} dB lets expect {expected:.1%}"
    return [("agreement", f"agreement {agreement:.1%}", explanation if agreement >= expected - by_chance else None)]


def _compute(cell: Cell) -> Found:
    recipe, share, left = cell["recipe"], cell["integer_compute_share"], cell["float_compute"]
    if _plain(recipe) not in COMPUTES or (share is not None and share >= MIN_SHARE):
        return []
    figure = "integer compute unknown" if share is None else f"integer compute {share:.1%}"
    by_design = {
        reason: kinds for reason, kinds in FLOAT_BY_DESIGN.get(_plain(recipe), {}).items() if left.keys() & kinds
    }
    purposely = set[str]().union(*by_design.values())
    without = left.keys() & WITHOUT_KERNEL if not recipe.startswith("litert") else set[str]()
    reasons = list(by_design)
    reasons += [f"onnxruntime has no integer kernel for {', '.join(sorted(without))}"] if without else []
    explained = bool(cell["left"]) or (left and left.keys() <= purposely | without)
    reasons += [_left(cell)] if cell["left"] else []
    return [("compute", figure, "; ".join(reasons) if explained else None)]


def _weights(cell: Cell) -> Found:
    share = cell["integer_weight_share"]
    if _plain(cell["recipe"]) not in STORES or (share is not None and share >= MIN_SHARE):
        return []
    figure = "integer weights unknown" if share is None else f"integer weights {share:.1%}"
    named = ", ".join(sorted(cell["float_compute"].keys() & WITHOUT_KERNEL))
    reasons = [f"{named} takes weights in float alone"] if named else []
    reasons += [_left(cell)] if cell["left"] else []
    return [("weights", figure, "; ".join(reasons) or None)]


def _plain(recipe: str) -> str:
    return recipe.removesuffix(CONVERTED)


def _left(cell: Cell) -> str:
    return f"TFMOT cannot quantize {', '.join(cell['left'])}"


def _time(cell: Cell) -> Found:
    ratio = cell.get("peer_ratio")
    if cell["recipe"] != "onnx_int8_static" or ratio is None or ratio <= SLOWER:
        return []
    low, high = cell["peer_ratio_ci95"]
    figure = f"{ratio:.2f} of {peer.NAME}'s time [{low:.2f}, {high:.2f}]"
    return [("time", figure, f"not told from {SLOWER} by this many rounds" if low <= SLOWER else None)]
