"""Every ONNX recipe on random networks: the file loads, answers like its source, and is what the proof says it is.

OCTAVO_EXAMPLES sets how many networks each recipe is tried on; a failure prints the plan of the smallest that fails.
"""

import math
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings

from octavo.backends.registry import open_model
from octavo.data.input_encoding import encode
from octavo.evaluation import integer_coverage
from octavo.project.errors import ModelError
from octavo.quantization import recipes
from tests.contracts import independent_count, random_networks
from tests.contracts.expected_error import simulate, sqnr_db
from tests.contracts.random_networks import Network, Plan

EXAMPLES = int(os.environ.get("OCTAVO_EXAMPLES", "8"))
REFUSED_BELOW = 10.0
"""Output SQNR in dB under which a file may be refused."""
MARGIN = 8.0
"""dB that two ways to round one network may differ by: their errors are drawn, so to speak, and few networks are large
enough for the sums of many."""
PROMISED = {
    "onnx_fp32": 90.0,
    "onnx_fp16": 25.0,
    "onnx_int8_weight_only": 25.0,
    "onnx_int8_dynamic": 20.0,
    "onnx_int8_static": 20.0,
}
"""By recipe the SQNR in dB that any well-conditioned network keeps."""

untold = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def test_every_onnx_recipe_is_tried_here() -> None:
    elsewhere = {name for name in recipes.names() if name.startswith("litert") or "qat" in name}
    assert set(recipes.names()) - elsewhere == set(PROMISED)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("recipe", PROMISED)
def test_a_random_network_keeps_its_answers_and_is_counted_right(recipe: str) -> None:
    @untold
    @given(random_networks.plans())
    def holds(plan: Plan) -> None:
        with TemporaryDirectory() as folder:
            network = random_networks.build(plan, Path(folder))
            path = network.exported / "quantized.onnx"
            expected = open_model(network.exported / "model.onnx")(network.test)
            try:
                recipes.quantize(recipe, network.exported, path, network.samples, {})
            except ModelError:
                if attainable(network, recipe, expected, centred=False) > REFUSED_BELOW + MARGIN:
                    raise
                reject()
            assert_answers(network, recipe, expected, open_model(path)(network.test))
            assert_counts(path, network)

    holds()


def assert_answers(network: Network, recipe: str, expected: np.ndarray, got: np.ndarray) -> None:
    assert got.shape == expected.shape
    assert np.isfinite(got).all()
    limit = PROMISED[recipe]
    for centred in (False, True):
        found = sqnr_db(expected, got, centred)
        if found < limit:
            reachable = attainable(network, recipe, expected, centred)
            assert found >= reachable - MARGIN or reachable < REFUSED_BELOW


def attainable(network: Network, recipe: str, expected: np.ndarray, centred: bool) -> float:
    """SQNR in dB of the network with its values rounded in float; -inf where that leaves no numbers."""
    activations = recipe in ("onnx_int8_dynamic", "onnx_int8_static")
    calibration, test = encode(network.samples.calibration), encode(network.test)
    model = onnx.load(network.exported / "model.onnx")
    rounded = simulate(model, calibration, test, activations)
    return sqnr_db(expected, rounded, centred) if np.isfinite(rounded).all() else -math.inf


def assert_counts(path: Path, network: Network) -> None:
    images = encode(network.test)
    shown = integer_coverage.prove(path, images)
    weights, macs = independent_count.stored_weights(path), independent_count.computed(path, images)
    assert shown.integer_weight_share == pytest.approx(weights.value)
    assert shown.integer_compute_share == pytest.approx(macs.value)
