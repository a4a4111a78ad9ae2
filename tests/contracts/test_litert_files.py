"""What a LiteRT file that Octavo writes is, whatever network it was made of."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content import tensors
from octavo.backends.litert.kernels import default
from octavo.backends.registry import open_model
from octavo.data.splits import Samples, Split
from octavo.onnx_graph import canonicalize
from octavo.project.errors import ModelError, ParamsError
from octavo.quantization import recipes
from octavo.quantization.litert import writing
from octavo.quantization.litert.writing import write
from tests.contracts.eager_graph import Graph

OWN = [name for name in recipes.names() if name.startswith("litert") and not name.endswith("_tensorflow")]
FLOAT = [name for name in OWN if "qat" not in name]
Type = schema.TensorType
SAMPLES = 64
WRITE = """
import sys, onnx
from octavo.quantization.litert.writing import write
sys.stdout.buffer.write(write(onnx.load(sys.argv[1]), (3, 12, 8)).content)
"""


def drawn(graph: Graph, *shape: int) -> str:
    return graph.constant(graph.rng.normal(0, 0.3, shape))


def residual() -> Graph:
    """A network with a shortcut, a mean and a dense layer, on images with the channels first."""
    rng = np.random.default_rng(0)
    graph = Graph(rng.random((SAMPLES, 3, 12, 8), np.float32), rng)
    first = graph.add("Relu", graph.add("Conv", "images", drawn(graph, 8, 3, 3, 3), drawn(graph, 8), pads=[1] * 4))
    beside = graph.add("Conv", first, drawn(graph, 8, 8, 3, 3), drawn(graph, 8), pads=[1] * 4)
    total = graph.add("Relu", graph.add("Add", first, beside))
    flat = graph.add("Flatten", graph.add("GlobalAveragePool", total))
    graph.add("Gemm", flat, drawn(graph, 8, 5), drawn(graph, 5))
    return graph


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Samples]:
    """The folder of that network, and images for it."""
    folder, graph = tmp_path_factory.mktemp("residual"), residual()
    model = graph.model()
    for node in model.graph.node:
        node.doc_string = node.op_type
    canonicalize.save(model, folder / "model.onnx")
    images = np.rint(graph.values["images"] * 255).astype(np.uint8)
    labels = open_model(folder / "model.onnx")(images).argmax(1)
    return folder, Samples(images, Split(images, labels))


Make = Callable[..., Path]


@pytest.fixture
def make(network: tuple[Path, Samples], tmp_path: Path) -> Make:
    def make(recipe: str, **options: Any) -> Path:
        path = tmp_path / f"{recipe}.tflite"
        recipes.quantize(recipe, network[0], path, network[1], options)
        return path

    return make


def graph_of(path: Path) -> tuple[Any, Any]:
    """The content of a file, and its one graph."""
    model = tensors.read(path.read_bytes())
    (graph,) = model.subgraphs
    return model, graph


@pytest.mark.parametrize("recipe", FLOAT)
def test_it_stores_what_it_uses_once(recipe: str, make: Make) -> None:
    model, graph = graph_of(make(recipe))
    names = Counter(tensor.name for tensor in graph.tensors)
    assert names.most_common(1)[0][1] == 1
    used = {int(end) for operator in graph.operators for end in (*operator.inputs, *operator.outputs)}
    assert used | {*graph.inputs, *graph.outputs} == set(range(len(graph.tensors)))
    held = {tensor.buffer for tensor in graph.tensors} | {entry.buffer for entry in model.metadata or ()}
    assert held == set(range(len(model.buffers)))
    contents = [bytes(buffer.data) for buffer in model.buffers if buffer.data is not None]
    assert len(set(contents)) == len(contents)
    assert {operator.opcodeIndex for operator in graph.operators} == set(range(len(model.operatorCodes)))


@pytest.mark.parametrize("recipe", FLOAT)
def test_data_lie_where_kernels_read_them_fastest(recipe: str, make: Make) -> None:
    content = make(recipe).read_bytes()
    model = schema.Model.GetRootAsModel(content, 0)
    tables = [model.Buffers(place)._tab for place in range(model.BuffersLength())]
    places = [table.Vector(table.Offset(4)) for table in tables if table.Offset(4)]
    assert len(places) > 4
    assert [place % 16 for place in places] == [0] * len(places)


@pytest.mark.parametrize("recipe", [name for name in FLOAT if "dynamic" not in name])
def test_xnnpack_computes_it_in_one_part(recipe: str, make: Make, network: tuple[Path, Samples]) -> None:
    path = make(recipe)
    assert default.name(path, open_model(path).feed(network[1].calibration)) == "XNNPACK"


def test_a_file_in_integers_holds_no_floats(make: Make) -> None:
    _, graph = graph_of(make("litert_int8_static", io="int8"))
    assert {tensor.type for tensor in graph.tensors} <= {Type.INT8, Type.INT32}
    for tensor in graph.tensors:
        if tensor.type == Type.INT8:
            assert tensor.quantization.scale is not None
    _, with_floats = graph_of(make("litert_int8_static"))
    floats = [tensor for tensor in with_floats.tensors if tensor.type == Type.FLOAT32]
    assert len(floats) == 2


@pytest.mark.parametrize("recipe", FLOAT)
def test_it_takes_bytes_as_they_are(recipe: str, make: Make, network: tuple[Path, Samples]) -> None:
    images = network[1].calibration
    expected, path = open_model(make(recipe))(images), make(recipe, take_bytes=True)
    _, graph = graph_of(path)
    assert graph.tensors[graph.inputs[0]].type == Type.UINT8
    predict = open_model(path)
    assert predict.feed(images).dtype == np.uint8
    np.testing.assert_allclose(predict(images), expected, atol=np.abs(expected).max() * 0.02)


def test_layers_that_stay_in_float_keep_their_weights_and_others_do_not(make: Make) -> None:
    _, graph = graph_of(make("litert_int8_static", float_layers=[1]))
    weights = [tensor.type for tensor in graph.tensors if tensor.buffer and len(tensor.shape) in (2, 4)]
    assert Counter(kind for kind in weights if kind != Type.INT32) == {Type.INT8: 2, Type.FLOAT32: 1}


@pytest.mark.parametrize(
    "options", [{"float_layers": [0]}, {"float_layers": [1, 2]}, {"repair": {"max_accuracy_drop": 0.0}}]
)
def test_a_mixed_file_runs(options: dict[str, Any], make: Make, network: tuple[Path, Samples]) -> None:
    exported, samples = network
    expected = open_model(exported / "model.onnx")(samples.calibration)
    got = open_model(make("litert_int8_static", **options))(samples.calibration)
    assert (got.argmax(1) == expected.argmax(1)).mean() > 0.95


def test_a_layer_that_is_not_there_cannot_stay_in_float(make: Make) -> None:
    with pytest.raises(ParamsError, match=r"float_layers has 7, but the network has 3 layers"):
        make("litert_int8_static", float_layers=[7])


def test_the_same_network_gives_the_same_bytes_in_every_process(network: tuple[Path, Samples]) -> None:
    path = network[0] / "model.onnx"
    again = [
        subprocess.run(
            [sys.executable, "-c", WRITE, str(path)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert again == [write(canonicalize.load(path), (3, 12, 8)).content] * 2


@pytest.mark.parametrize("recipe", FLOAT)
def test_the_same_recipe_gives_the_same_bytes(recipe: str, make: Make) -> None:
    assert len({make(recipe).read_bytes() for _ in range(2)}) == 1


def test_a_model_in_memory_is_not_changed(network: tuple[Path, Samples]) -> None:
    model = canonicalize.load(network[0] / "model.onnx")
    before = model.SerializeToString(deterministic=True)
    write(model, (3, 12, 8))
    assert model.SerializeToString(deterministic=True) == before


def recurrent(kind: str) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    graph = Graph(rng.random((4, 5, 3), np.float32), rng)
    gates = {"GRU": 3, "LSTM": 4}[kind]
    steps = graph.add("Transpose", "images", perm=[1, 0, 2])
    names = [drawn(graph, 1, gates * 4, 3), drawn(graph, 1, gates * 4, 4)]
    every, *_ = graph.split(kind, gates - 1, steps, *names, hidden_size=4)
    graph.add("ReduceMean", graph.add("Squeeze", every, graph.constant([1], np.int64)), axes=[0], keepdims=0)
    model = graph.model()
    for node in model.graph.node:
        node.doc_string = f"my_{node.op_type.lower()}"
    return model


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_what_litert_has_not_is_refused_by_name(kind: str) -> None:
    with pytest.raises(ModelError) as caught:
        write(recurrent(kind), (5, 3))
    told = str(caught.value)
    assert f"{kind} (layer 'my_{kind.lower()}') has no form in LiteRT" in told
    assert "\n" not in told
    assert told.count(". ") == 1


def test_an_operator_of_another_domain_is_refused_by_name() -> None:
    model = residual().model()
    model.graph.node[1].domain = "com.example"
    with pytest.raises(ModelError, match=r"Relu.* has no form in LiteRT"):
        write(model, (3, 12, 8))


def test_a_free_image_size_is_settled_by_the_images(network: tuple[Path, Samples]) -> None:
    """PyTorch can leave height and width open."""
    model = canonicalize.load(network[0] / "model.onnx")
    for place in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = f"side{place}"
    settled = canonicalize.load(network[0] / "model.onnx")
    assert write(model, (3, 12, 8)).content == write(settled, (3, 12, 8)).content


def test_more_than_a_file_can_hold_is_refused(network: tuple[Path, Samples], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "LIMIT", 1000)
    with pytest.raises(ModelError, match=r"its weights take 3,\d\d\d bytes, and a LiteRT file holds at most 1,000"):
        write(canonicalize.load(network[0] / "model.onnx"), (3, 12, 8))


@pytest.mark.parametrize("recipe", FLOAT)
def test_any_batch_gives_the_same_answers(recipe: str, make: Make, network: tuple[Path, Samples]) -> None:
    images, predict = network[1].calibration, open_model(make(recipe))
    whole = predict(images)
    for batch in (1, 7):
        np.testing.assert_allclose(predict(images[:batch]), whole[:batch], rtol=1e-4, atol=1e-5)
