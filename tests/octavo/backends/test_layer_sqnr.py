"""Where a network's error comes from is seen layer by layer, whatever a recipe did to the graph."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from octavo.backends import layer_sqnr
from octavo.backends.registry import open_model
from octavo.onnx_graph import canonicalize, qdq
from octavo.onnx_graph.rewrites import equalization, network_input
from octavo.quantization import calibration, ptq
from tests.octavo import onnx_graphs as graphs

LAYERS = ["c0", "c1", "pooled", "y"]


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network with names of layers; a ReLU belongs to the layer in front of it, as it does in Keras."""
    for node in model.graph.node:
        node.doc_string = {"Reshape": "pooled", "Relu": node.input[0]}.get(node.op_type, node.output[0])
    return model


def quantized(model: onnx.ModelProto, spoilt: str | None = None) -> onnx.ModelProto:
    """In integers, with the weights of the layer `spoilt` rounded to a few steps."""
    points = ptq.points(model)
    seen = calibration.observe(model, points, graphs.images())
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for tensor in made.graph.initializer:
        if tensor.name == f"{spoilt}_w":
            weights = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.rint(weights * 4) / np.float32(4), tensor.name))
    return ptq.quantize(made, {name: calibration.min_max(seen[name]) for name in points})


def measured(model: onnx.ModelProto, network: onnx.ModelProto, folder: Path) -> dict[str, float]:
    for name, graph in (("model", model), ("network", network)):
        canonicalize.save(graph, folder / name / "model.onnx")
    return layers(folder, graphs.images())


def layers(folder: Path, images: np.ndarray) -> dict[str, float]:
    model = folder / "model/model.onnx"
    return layer_sqnr.measure(model, folder / "network/model.onnx", images, open_model(model).feed(images))


@settings(max_examples=10)
@given(error=st.floats(0.001, 0.5))
def test_an_error_of_one_per_cent_is_40_decibels(error: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    network, model = named(graphs.stack(1)), named(graphs.stack(1))
    for tensor in model.graph.initializer:
        if tensor.name in ("y_w", "y_b"):
            scaled = numpy_helper.to_array(tensor) * np.float32(1 + error)
            tensor.CopyFrom(numpy_helper.from_array(scaled, tensor.name))
    found = measured(model, network, tmp_path_factory.mktemp("scaled"))
    assert found == {"c0": 200, "pooled": 200, "y": pytest.approx(-20 * np.log10(error), abs=0.05)}


def test_layers_are_found_although_rounding_does_the_clipping(tmp_path: Path) -> None:
    network = named(graphs.stack(2))
    model = quantized(network)
    assert "Relu" not in {node.op_type for node in model.graph.node}
    found = measured(model, network, tmp_path)
    assert list(found) == LAYERS
    assert min(found.values()) > 25


@pytest.mark.parametrize("spoilt", ["c0", "c1", "y"])
def test_the_damaged_layer_is_the_first_that_is_worse(spoilt: str, tmp_path: Path) -> None:
    network = named(graphs.stack(2))
    whole = measured(quantized(network), network, tmp_path)
    found = measured(quantized(network, spoilt), network, tmp_path)
    lost = {layer: whole[layer] - found[layer] for layer in LAYERS}
    before = LAYERS[: LAYERS.index(spoilt)]
    assert all(abs(lost[layer]) < 1 for layer in before)
    assert lost[spoilt] > 5


def test_equalized_layers_are_held_to_equalized_ones(tmp_path: Path) -> None:
    network = named(graphs.stack(2))
    graphs.plant_outliers(network, "c0", "c1")
    damaged = measured(quantized(network), network, tmp_path)
    mended = measured(quantized(equalization.equalize(network)), network, tmp_path)
    assert mended["y"] > damaged["y"] + 10
    assert min(mended.values()) > 25


def test_bytes_are_fed_where_the_file_takes_bytes(tmp_path: Path) -> None:
    network, images = named(graphs.stack(1)), graphs.images()
    scaled = ((images - images.min()) / np.ptp(images) * 255).astype(np.uint8)
    model = onnx.ModelProto()
    model.CopyFrom(network)
    network_input.take_bytes(model)
    for name, graph in (("model", model), ("network", network)):
        canonicalize.save(graph, tmp_path / name / "model.onnx")
    found = layers(tmp_path, scaled)
    assert found == dict.fromkeys(("c0", "pooled", "y"), pytest.approx(140, abs=60))


def test_without_names_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert measured(graphs.stack(1), graphs.stack(1), tmp_path) == {}
    assert layer_sqnr.measure(tmp_path / "model.tflite", tmp_path, graphs.images(), graphs.images()) == {}


def test_a_layer_that_only_moves_values_is_none(tmp_path: Path) -> None:
    network = named(graphs.stack(1, pooled=False))
    assert list(measured(quantized(network), network, tmp_path)) == ["c0", "y"]
    assert qdq.producers(network)["row"].doc_string == "pooled"
