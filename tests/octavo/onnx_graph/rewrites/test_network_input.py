"""Networks that take bytes answer as they do to the same images scaled."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from octavo.backends.registry import open_model
from octavo.data import input_encoding
from octavo.data.splits import Samples, Split
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.rewrites import network_input
from octavo.project.errors import ModelError
from octavo.project.params.encoding import InputEncoding
from octavo.quantization import calibration, ptq, recipes
from octavo.quantization.searching.trial_runner import Bench
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


CHANNELS = st.sampled_from([1, 4]) | st.just(0)


@st.composite
def encodings(draw: st.DrawFn) -> InputEncoding:
    """Of images (N, 8, 8, 4) for networks with the channels first."""

    def values(least: float, most: float) -> list[float]:
        n = draw(CHANNELS)
        return draw(st.lists(st.floats(least, most, width=32), min_size=n, max_size=n))

    scale = draw(st.sampled_from([255.0, 1.0, 127.5]) | st.floats(0.5, 1000, width=32))
    return InputEncoding(scale=scale, mean=values(-2, 2), std=values(0.125, 4), layout="channels_first")


@given(encodings(), st.sampled_from(["onnx_fp32", "onnx_int8_static"]))
@settings(max_examples=12, deadline=None)
def test_a_network_from_elsewhere_gets_what_it_was_trained_on(encoding: InputEncoding, recipe: str) -> None:
    """Stored images have their channels last, it has them first."""
    stored, model = np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1)), plain()
    network_input.declare(model, encoding)
    with TemporaryDirectory() as folder:
        canonicalize.save(model, Path(folder, "model.onnx"))
        predict = open_model(Path(folder, "model.onnx"))
        fed = input_encoding.encode(stored, encoding)
        np.testing.assert_array_equal(predict(stored), predict.run(fed))
        mean = np.asarray(encoding.mean or 0, np.float64).reshape(-1, 1, 1)
        std = np.asarray(encoding.std or 1, np.float64).reshape(-1, 1, 1)
        np.testing.assert_allclose(fed, (IMAGES / encoding.scale - mean) / std, rtol=1e-5, atol=1e-4)
        samples, files = Samples(stored, Split(stored, np.zeros(len(stored), np.int64))), {}
        for takes_bytes in (False, True):
            files[takes_bytes] = Path(folder, str(takes_bytes), "model.onnx")
            recipes.quantize(recipe, Path(folder), files[takes_bytes], samples, {"take_bytes": takes_bytes})
        floats, taking = (open_model(path) for path in files.values())
        np.testing.assert_array_equal(taking.feed(stored), IMAGES)
        np.testing.assert_array_equal(taking(stored), floats(stored))


def test_a_search_tries_its_networks_on_encoded_images(tmp_path: Path) -> None:
    model = plain()
    network_input.declare(model, InputEncoding(scale=1, mean=100, std=50))
    canonicalize.save(model, tmp_path / "model.onnx")
    bench = Bench(model, Samples(IMAGES, Split(IMAGES, np.zeros(len(IMAGES), np.int64))), tmp_path)
    np.testing.assert_array_equal(bench.float_logits, open_model(tmp_path / "model.onnx")(IMAGES))


def test_grey_images_get_the_axis_that_a_network_has(tmp_path: Path) -> None:
    model = graphs.network(
        [graphs.conv("x", "c"), graphs.relu("c", "r"), *graphs.head("r")],
        graphs.parameters({"c": (4, 1, 3, 3)}, 4),
        image=(1, 8, 8),
    )
    declared = input_encoding.fitted(InputEncoding(mean=0.5, layout="channels_first"), (8, 8), (1, 8, 8))
    network_input.declare(model, declared)
    canonicalize.save(model, tmp_path / "model.onnx")
    grey = IMAGES[:, 0]
    predict = open_model(tmp_path / "model.onnx")
    wanted = predict.run((grey[:, None].astype(np.float32) / np.float32(255) - np.float32(0.5)).astype(np.float32))
    np.testing.assert_array_equal(predict(grey), wanted)


@pytest.mark.parametrize("said", ["[]", "{", '{"mean": "a"}', '{"std": [0]}', '{"layout": "sideways"}', '{"other": 1}'])
def test_a_file_that_declares_nonsense_is_refused(said: str, tmp_path: Path) -> None:
    model = plain()
    model.metadata_props.add(key=input_encoding.KEY, value=said)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"model\.onnx declares the input encoding .* Make the file again\."):
        open_model(tmp_path / "model.onnx")
