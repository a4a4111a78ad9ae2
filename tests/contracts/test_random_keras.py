"""Every recipe that starts from Keras on random networks, as `test_random_onnx` does it for ONNX.

LiteRT files are written from the exported network, and made by TensorFlow's converter from its SavedModel: Octavo's own
are as near to the network. Recipes of learned ranges start from the same network with fake quantization, whose own
answers are theirs to keep.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings

from octavo.backends.registry import open_model
from octavo.data.splits import Samples, Split
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize
from octavo.project.errors import ModelError
from octavo.quantization import recipes
from octavo.quantization.learned.restoring import integer_graph
from octavo.quantization.litert.kernels import LITERT
from octavo.training import export
from octavo.training.quantization_aware import qat
from tests.contracts import independent_count, independent_litert_count, random_keras, random_networks
from tests.contracts.expected_error import simulate, sqnr_db
from tests.contracts.random_keras import KerasPlan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]
EXAMPLES = int(os.environ.get("OCTAVO_EXAMPLES", "20")) // 10
"""A tenth of the networks that an ONNX recipe is tried on."""
FLOAT: dict[str, float] = {
    "litert_fp32": 80.0,
    "litert_fp16": 25.0,
    "litert_int8_weight_only": 25.0,
    "litert_int8_dynamic": 15.0,
    "litert_int8_static": 15.0,
    "litert_fp32_tensorflow": 80.0,
    "litert_fp16_tensorflow": 25.0,
    "litert_int8_dynamic_tensorflow": 15.0,
    "litert_int8_static_tensorflow": 15.0,
}
LEARNED: dict[str, float] = {"onnx_int8_qat": 15.0, "litert_int8_qat": 15.0, "litert_int8_qat_tensorflow": 15.0}
"""By recipe the SQNR in dB that a well-conditioned network keeps."""
EXACT = {"litert_fp32", "litert_fp16", "litert_fp32_tensorflow", "litert_fp16_tensorflow"}
MARGIN = 8.0
COMPARED: dict[tuple[str, str], float] = {
    **{(name.removesuffix("_tensorflow"), name): 4.0 for name in (*FLOAT, *LEARNED) if name.endswith("_tensorflow")},
    ("litert_int8_qat", "twin"): MARGIN,
}
"""Octavo's own LiteRT recipe and another way -> dB that it may be worse. The twin rounds averages and
LeakyRelu once."""
ENOUGH = 45.0
"""dB from which no file is asked to be better."""
PROMISES_END = 10.0
"""Output SQNR in dB under which rounding spoils a network by itself."""
N = 96

untold = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_every_other_recipe_is_tried_here() -> None:
    assert {name for name in recipes.names() if name.startswith("litert") or "qat" in name} == {*FLOAT, *LEARNED}


@pytest.mark.parametrize("learned", [False, True], ids=["float", "learned ranges"])
def test_random_keras_networks_keep_their_answers_and_are_counted_right(learned: bool) -> None:
    @untold
    @given(random_keras.plans())
    def holds(plan: KerasPlan) -> None:
        reached: dict[str, float] = {}
        for recipe, path, expected, network in _made(plan, learned):
            got = open_model(path)(network.selection.images)
            assert got.shape == expected.shape, recipe
            assert np.isfinite(got).all(), recipe
            _assert_near(recipe, expected, got, path.parent, network)
            _assert_counts(recipe, path, network.selection.images)
            reached[recipe] = sqnr_db(expected, got)
            if recipe == "litert_int8_qat":
                reached["twin"] = sqnr_db(expected, _twin(path.parent, network))
        for (recipe, other), worse in COMPARED.items():
            if recipe in reached:
                assert reached[recipe] >= min(reached[other], ENOUGH) - worse, (recipe, other)

    holds()


def _made(plan: KerasPlan, learned: bool) -> Iterator[tuple[str, Path, np.ndarray, Samples]]:
    rng = np.random.default_rng(plan.seed)
    calibration, test = (random_networks.images(rng, N, plan.image) for _ in range(2))
    model = random_keras.build(plan, calibration)
    if learned:
        model = qat.annotate(model)
        qat.initialize_ranges(model, calibration)
    samples = Samples(calibration, Split(test, np.arange(N) % plan.classes))
    with TemporaryDirectory() as folder:
        exported = Path(folder)
        try:
            export.export(model, calibration, exported)
        except ModelError as error:
            if "fake-quantized networks" not in str(error):  # where rounding errors decide too often, export refuses
                raise
            reject()
        expected = open_model(exported / "model.onnx")(test)
        for recipe in LEARNED if learned else FLOAT:
            path = exported / f"{recipe}{'.tflite' if recipe.startswith('litert') else '.onnx'}"
            recipes.quantize(recipe, exported, path, samples, {})
            yield recipe, path, expected, samples


def _twin(exported: Path, samples: Samples) -> np.ndarray:
    """What onnxruntime computes of the graph that the LiteRT file with learned ranges is written from."""
    path = exported / "twin.onnx"
    canonicalize.save(integer_graph(exported, samples, LITERT, take_bytes=False), path)
    return open_model(path)(samples.selection.images)


def _assert_near(recipe: str, expected: np.ndarray, got: np.ndarray, exported: Path, samples: Samples) -> None:
    limit = (FLOAT | LEARNED)[recipe]
    for centred in (False, True):
        found = sqnr_db(expected, got, centred)
        if found < limit:
            assert recipe not in EXACT or found > limit - 2 * MARGIN, recipe
            reachable = _attainable(expected, exported, samples, centred)
            assert found >= reachable - MARGIN or reachable < PROMISES_END, recipe


def _attainable(expected: np.ndarray, exported: Path, samples: Samples, centred: bool) -> float:
    model = onnx.load(exported / "model.onnx")
    return sqnr_db(expected, simulate(model, samples.calibration, samples.selection.images, True), centred)


def _assert_counts(recipe: str, path: Path, images: np.ndarray) -> None:
    shown = integer_coverage.prove(path)
    if recipe.startswith("litert"):
        weights, macs = independent_litert_count.shares(path)
    else:
        weights, macs = independent_count.stored_weights(path), independent_count.computed(path, images)
    assert shown.integer_weight_share == pytest.approx(weights.value), recipe
    assert shown.integer_compute_share == pytest.approx(macs.value), recipe
