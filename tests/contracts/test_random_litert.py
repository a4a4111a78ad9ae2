"""LiteRT files written from random ONNX networks answer like the ONNX file of the same numbers.

A file is compared with what onnxruntime computes of the graph that it was written from. `test_random_keras` holds the
same files to those of TensorFlow's converter.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import HealthCheck, Phase, assume, given, reject, settings

from octavo.backends.registry import open_model
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize, qdq
from octavo.onnx_graph.rewrites import preparation
from octavo.project.errors import ModelError
from octavo.quantization import recipes
from octavo.quantization.litert.kernels import LITERT
from octavo.quantization.recipes.onnx.fp16 import store_weights
from octavo.quantization.searching.static import StaticOptions, quantized
from tests.contracts import independent_litert_count, random_networks
from tests.contracts.expected_error import sqnr_db
from tests.contracts.random_networks import KINDS, Network, Plan

EXAMPLES = int(os.environ.get("OCTAVO_EXAMPLES", "8"))
SAME = 85.0
"""dB between two ways to compute in float32."""
LOST = 3.0
"""dB that integer kernels may lose by rounding otherwise than onnxruntime."""
DRAWN = 8.0
"""dB that two ways to round inputs at each call may differ by."""
SPOILT = 15.0
"""dB between network and quantized network under which nothing is promised."""
WITHOUT_FORM = ("GRU", "LSTM", "spatial axes", "ConvTranspose")
"""What random networks have and LiteRT has not."""
EXACT: dict[str, Any] = {
    "kinds": ("convolution", "dense", "pool"),
    "activations": ("Relu", "none", "Clip"),
    "ends": ("Gemm", "ConvPool"),
}
"""Layers whose integer kernels round as onnxruntime does, but for ties."""

untold = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def as_it_is(model: onnx.ModelProto) -> None:
    """Nothing is stored in fewer bits."""


def with_int8_weights(model: onnx.ModelProto) -> None:
    qdq.store_for_float(model, qdq.OUTPUT_AXIS, qdq.nearest)


STORED: Mapping[str, Callable[[onnx.ModelProto], None]] = {
    "litert_fp32": as_it_is,
    "litert_fp16": store_weights,
    "litert_int8_weight_only": with_int8_weights,
}
"""Recipes that compute in float -> how they store weights."""


def made(recipe: str, network: Network) -> Path:
    """The file of a recipe, however far it is from its network. One that it may refuse is drawn again."""
    path, samples = network.exported / f"{recipe}.tflite", replace(network.samples, min_sqnr_db=-math.inf)
    try:
        recipes.quantize(recipe, network.exported, path, samples, {})
    except ModelError as error:
        told = str(error)
        if "cannot be written as a LiteRT file" in told and any(name in told for name in WITHOUT_FORM):
            reject()
        raise
    return path


@pytest.mark.timeout(0)
@pytest.mark.parametrize("recipe", STORED)
def test_files_that_compute_in_float_compute_what_the_graph_does(recipe: str) -> None:
    @untold
    @given(random_networks.plans(kinds=KINDS))
    def holds(plan: Plan) -> None:
        with TemporaryDirectory() as folder:
            network = random_networks.build(plan, Path(folder))
            path = made(recipe, network)
            model = canonicalize.load(network.exported / "model.onnx")
            preparation.prepare(model)
            STORED[recipe](model)
            canonicalize.save(model, network.exported / "twin.onnx")
            expected, predict = open_model(network.exported / "twin.onnx")(network.test), open_model(path)
            assert_same(expected, predict(network.test))
            assert_same(expected[:1], predict(network.test[:1]))
            assert_counts(path)

    holds()


@pytest.mark.timeout(0)
def test_integer_files_lose_no_more_than_the_graph_does() -> None:
    @untold
    @given(random_networks.plans(kinds=KINDS))
    def holds(plan: Plan) -> None:
        with TemporaryDirectory() as folder:
            network = random_networks.build(plan, Path(folder))
            expected, twin, got = answers(network)
            kept, reached = sqnr_db(expected, twin), sqnr_db(expected, got)
            assert reached >= kept - LOST or kept < SPOILT
            assert_counts(network.exported / "litert_int8_static.tflite")

    holds()


@pytest.mark.timeout(0)
def test_layers_give_the_integers_that_onnxruntime_gives() -> None:
    @untold
    @given(random_networks.plans(**EXACT))
    def holds(plan: Plan) -> None:
        with TemporaryDirectory() as folder:
            network = random_networks.build(plan, Path(folder))
            nodes = onnx.load(network.exported / "model.onnx").graph.node
            assume(not any(qdq.attribute(node, "transA", 0) for node in nodes))  # its weights stay in float
            _, twin, got = answers(network)
            assume("AVERAGE_POOL_2D" not in operators(made("litert_int8_static", network)))  # it rounds twice
            assert (np.abs(got - twin) > np.abs(twin).max() * 1e-5).mean() < 0.01

    holds()


@pytest.mark.timeout(0)
def test_files_that_round_inputs_at_each_call_answer_like_their_twin() -> None:
    @untold
    @given(random_networks.plans(kinds=KINDS))
    def holds(plan: Plan) -> None:
        with TemporaryDirectory() as folder:
            network = random_networks.build(plan, Path(folder))
            expected = open_model(network.exported / "model.onnx")(network.test)
            recipes.quantize("onnx_int8_dynamic", network.exported, network.exported / "twin.onnx", network.samples, {})
            kept = sqnr_db(expected, open_model(network.exported / "twin.onnx")(network.test))
            reached = sqnr_db(expected, open_model(made("litert_int8_dynamic", network))(network.test))
            assert reached >= kept - DRAWN or kept < SPOILT

    holds()


def answers(network: Network) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the float network, of its integer form by onnxruntime, and of the LiteRT file of that form."""
    path, twin = made("litert_int8_static", network), network.exported / "twin.onnx"
    canonicalize.save(quantized(network.exported, twin, network.samples, StaticOptions(), LITERT), twin)
    expected, other, got = (open_model(each)(network.test) for each in (network.exported / "model.onnx", twin, path))
    assert got.shape == expected.shape
    return expected, other, got


def operators(path: Path) -> set[str]:
    """Names of the file's operators."""
    interpreter = Interpreter(model_path=str(path))
    return {operator["op_name"] for operator in interpreter._get_ops_details()}


def assert_same(expected: np.ndarray, got: np.ndarray) -> None:
    assert got.shape == expected.shape
    assert sqnr_db(expected, got) > SAME or np.abs(expected - got).max() < 1e-6


def assert_counts(path: Path) -> None:
    shown, (weights, macs) = integer_coverage.prove(path), independent_litert_count.shares(path)
    assert shown.integer_weight_share == pytest.approx(weights.value)
    assert shown.integer_compute_share == pytest.approx(macs.value)
