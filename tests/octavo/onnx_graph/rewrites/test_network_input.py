"""Networks that take bytes answer as they do to the same images scaled."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from octavo.backends.registry import open_model
from octavo.data import input_encoding
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.rewrites import network_input
from octavo.quantization import calibration, ptq
from tests.octavo import onnx_graphs as graphs

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 4, 8, 8)).astype(np.uint8)


def plain() -> onnx.ModelProto:
    nodes = [graphs.conv("x", "c"), graphs.relu("c", "r"), *graphs.head("r")]
    return graphs.network(nodes, graphs.parameters({"c": (4, 4, 3, 3)}, 4))


def normalizing() -> onnx.ModelProto:
    """With a mean and a deviation for each channel."""
    nodes = [helper.make_node("Sub", ["x", "mean"], ["s"]), helper.make_node("Div", ["s", "deviation"], ["n"])]
    nodes += [graphs.conv("n", "c"), graphs.relu("c", "r"), *graphs.head("r")]
    statistics = {"mean": np.linspace(0.4, 0.6, 4), "deviation": np.linspace(0.2, 0.3, 4)}
    shaped = {name: array.reshape(4, 1, 1).astype(np.float32) for name, array in statistics.items()}
    return graphs.network(nodes, graphs.parameters({"c": (4, 4, 3, 3)}, 4) | shaped)


def two_readers() -> onnx.ModelProto:
    nodes = [
        graphs.conv("x", "c"),
        helper.make_node("Add", ["x", "c"], ["a"]),
        graphs.relu("a", "r"),
        *graphs.head("r"),
    ]
    return graphs.network(nodes, graphs.parameters({"c": (4, 4, 3, 3)}, 4))


@pytest.mark.parametrize("network", [plain, normalizing, two_readers])
@pytest.mark.parametrize("method", ["min_max", "percentile_99.9"])
def test_bytes_get_the_answers_that_scaled_images_get(network: object, method: str, tmp_path: Path) -> None:
    assert callable(network)
    model = network()
    seen = calibration.observe(model, ptq.points(model), IMAGES)
    ranges = {name: calibration.METHODS[method](each) for name, each in seen.items()}
    quantized = ptq.quantize(model, ranges)
    canonicalize.save(quantized, tmp_path / "floats.onnx")
    network_input.take_bytes(quantized)
    canonicalize.save(quantized, tmp_path / "bytes.onnx")
    wanted, got = (open_model(tmp_path / name) for name in ("floats.onnx", "bytes.onnx"))
    assert (wanted.input_encoding, got.input_encoding) == (input_encoding.IMAGES, input_encoding.BYTES)
    np.testing.assert_array_equal(got.run(IMAGES), wanted.run((IMAGES / np.float32(255)).astype(np.float32)))


def test_where_quantizing_gives_the_bytes_back_nothing_is_left_of_it(tmp_path: Path) -> None:
    model = plain()
    seen = calibration.observe(model, ptq.points(model), IMAGES)
    quantized = ptq.quantize(model, {name: calibration.min_max(each) for name, each in seen.items()})
    network_input.take_bytes(quantized)
    assert "QuantizeLinear" not in [each.op_type for each in quantized.graph.node if "x" in each.input]
    canonicalize.save(quantized, tmp_path / "bytes.onnx")
    assert integer_coverage.prove(tmp_path / "bytes.onnx").float_nodes == []
