"""One realistic set of scorecards: ten variants of the small network, as a run on MNIST measured them."""

from collections.abc import Callable
from typing import Any

import pytest

from octavo.backends.records import Acceptance, FloatNode, Interface, Jump, Latency, ModelFile, Proof, Refusal, Tensor
from octavo.evaluation.scorecard import Latencies, Lineage, Scorecard, Scorecards, Size
from octavo.project.params.policy import Policy
from octavo.project.params.variants import VARIANT_NAME
from octavo.tasks.quality import Paired, Quality

N = 10_000
FP32_TOP1, FP32_BYTES, FP32_US = 0.9647, 83_230, 10.4
MEASURED = {  # source, recipe, top-1, broke, file bytes, latency ratio, integer weights
    "onnx_fp32": ("fp32", "onnx_fp32", 0.9647, 0, 83_230, 1.0, 0.0),
    "onnx_fp16": ("fp32", "onnx_fp16", 0.9647, 1, 42_670, 1.01, 0.0),
    "onnx_int8_dynamic": ("fp32", "onnx_int8_dynamic", 0.9643, 12, 25_462, 3.5, 1.0),
    "onnx_int8_static": ("fp32", "onnx_int8_static", 0.9646, 10, 21_762, 0.89, 1.0),
    "onnx_int8_qat": ("qat", "onnx_int8_qat", 0.9695, 60, 22_241, 0.91, 1.0),
    "litert_fp32": ("fp32", "litert_fp32", 0.9647, 0, 84_512, 0.45, 0.0),
    "litert_fp16": ("fp32", "litert_fp16", 0.9648, 0, 44_100, 0.47, 0.0),
    "litert_int8_dynamic": ("fp32", "litert_int8_dynamic", 0.9641, 14, 24_240, 0.53, 0.9996),
    "litert_int8_static": ("fp32", "litert_int8_static", 0.9511, 150, 24_512, 0.66, 1.0),
    "litert_int8_qat": ("qat", "litert_int8_qat", 0.9695, 60, 24_848, 0.68, 1.0),
}

BESIDE_CONTROL = Paired(delta=-0.0006, ci=(-0.0021, 0.0008), broke=8, fixed=2, agreement=0.99)


def scorecard(name: str, **changes: Any) -> Scorecard:
    """The scorecard of one variant, with some of its fields changed."""
    source, recipe, top1, broke, size, ratio, integers = MEASURED[name]
    grammar = VARIANT_NAME.fullmatch(name)
    assert grammar
    fields: dict[str, Any] = {
        "variant": name,
        "source": source,
        "recipe": recipe,
        **grammar.groupdict(),
        "model": ModelFile(path=f"artifacts/models/{name}/model.onnx", sha256=f"{len(recipe):064x}"),
        "quality": quality(top1, broke).model_copy(update={"vs_control": BESIDE_CONTROL if source == "qat" else None}),
        "size": Size(file_bytes=size, weight_bytes=size - 1700, ratio=size / FP32_BYTES, floor_ratio=size / 20_476),
        "latency": Latencies(
            threads=1, batches={"1": latency(ratio, 3000), "64": latency(ratio * 1.1, 200, 18)}, machine="a1b2c3d4e5f6"
        ),
        "proof": proof(integers),
        "acceptance": acceptance(43.27 if integers else 200.0),
        "interface": interface(name),
        "layer_sqnr_db": {"conv2d": 47.59, "dense": 51.33} if name.startswith("onnx") else {},
        "lineage": Lineage(git="0a1b2c3", dvc_lock="d" * 64, data="e" * 64, params="f" * 64),
        "notes": ["Unsigned activations."] if "static" in name else [],
    }
    return Scorecard(**fields | changes)


def quality(top1: float, broke: int, n: int = N) -> Quality:
    wrong = round((1 - top1) * n / 90)
    confusion = [[wrong] * 10 for _ in range(10)]
    for row in range(10):
        confusion[row][row] = n // 10 - 9 * wrong
    fixed = broke + round((top1 - FP32_TOP1) * n)
    delta, spread = (fixed - broke) / n, 2 * (broke + fixed) ** 0.5 / n
    return Quality(
        top1=top1,
        n=n,
        ci95=(top1 - 0.004, top1 + 0.004),
        per_class_recall=[row[actual] / sum(row) for actual, row in enumerate(confusion)],
        confusion=confusion,
        vs_baseline=Paired(
            delta=delta,
            ci=(delta - spread, delta + spread),
            broke=broke,
            fixed=fixed,
            agreement=1 - (broke + fixed) / n,
            per_class={
                str(digit): (spread_over(broke, digit), spread_over(fixed, digit), n // 10) for digit in range(10)
            },
        ),
    )


def spread_over(count: int, digit: int) -> int:
    """How many of `count` images are of this digit, when all digits get as many as they can."""
    return (count + digit) // 10


def latency(ratio: float, calls: int, scale: float = 1) -> Latency:
    p50 = FP32_US * ratio * scale
    return Latency(
        n=calls,
        p50_us=p50,
        p90_us=p50 * 1.1,
        p99_us=p50 * 1.4 if calls >= 299 else None,
        ratio=ratio,
        ratio_ci95=(ratio * 0.98, ratio * 1.03),
    )


def proof(integers: float) -> Proof:
    nodes = [] if integers else [FloatNode(name="conv2d/Conv2D", operator="Conv", why="the recipe keeps it in float")]
    return Proof(integer_weight_share=integers, integer_compute_share=integers, float_nodes=nodes)


def acceptance(sqnr_db: float, non_finite: int = 0) -> Acceptance:
    relative = round(10 ** (-sqnr_db / 20), 4)
    return Acceptance(
        n=500,
        sqnr_db=sqnr_db,
        min_sqnr_db=10,
        relative_rms_error=None if non_finite else relative,
        agreement=0.99,
        non_finite=non_finite,
        clipped_biases=0,
        clipped_weights=0,
        unmatched_weights=0,
    )


def refusal() -> Refusal:
    """Of a file whose answers are noise from its second layer on."""
    return Refusal(
        cause="low SQNR",
        reason="Its outputs' SQNR is 3.2 dB.",
        remedy="Set repair: {} in its options.",
        acceptance=acceptance(3.2),
        jump=Jump(layer="dense", sqnr_db=3.1, before_db=47.59),
        layer_sqnr_db={"conv2d": 47.59, "dense": 3.1},
    )


def interface(name: str) -> Interface:
    options = {"session.disable_quant_qdq": "1"} if name == "onnx_int8_dynamic" else {}
    source = Tensor(name="images", dtype="float32", shape=(None, 28, 28))
    return Interface(
        input=source, output=Tensor(name="logits", dtype="float32", shape=(None, 10)), session_options=options
    )


@pytest.fixture
def make_card() -> Callable[..., Scorecard]:
    return scorecard


@pytest.fixture
def scorecards() -> Scorecards:
    return Scorecards(
        pipeline="c" * 64,
        machine={"cpu": "AMD EPYC 9V74", "isa": ["avx2", "avx512_vnni"], "versions": {"onnxruntime": "1.32.0"}},
        data={"source": "mnist", "classes": [str(digit) for digit in range(10)], "digest": "e" * 64},
        scorecards=[scorecard(name) for name in MEASURED],
    )


@pytest.fixture
def with_refused(scorecards: Scorecards) -> Scorecards:
    """The same with one variant that has no model."""
    return scorecards.model_copy(update={"refused": {"onnx_int8_noise": refusal()}})


@pytest.fixture
def policy() -> Policy:
    return Policy(max_accuracy_drop=0.01, max_size_ratio=0.5, max_latency_ratio=1.05)


@pytest.fixture(scope="module")
def baseline() -> Scorecard:
    return scorecard("onnx_fp32")
