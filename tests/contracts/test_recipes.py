"""What every recipe promises, whichever it is: a new file in pipeline/recipes/ is found and held to it."""

from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper

from octavo.backends import layer_sqnr
from octavo.backends.records import Acceptance
from octavo.backends.registry import open_model
from octavo.data.splits import Samples
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize
from octavo.project.errors import ModelError, ParamsError
from octavo.project.params.params import load_params
from octavo.quantization import clipping, recipes
from octavo.statistics.signal_to_noise import sqnr

pytestmark = pytest.mark.slow

LEARNED = [name for name in recipes.names() if "qat" in name]
"""Recipes that need a network with learned ranges."""
ONNX = [name for name in recipes.names() if not name.startswith("litert")]
LITERT = [name for name in recipes.names() if name.startswith("litert")]
INTEGER = [name for name in recipes.names() if "int8" in name]

Make = Callable[[str], Path]
TRIED: dict[str, Acceptance] = {}
"""How each recipe's file answered when it was made."""


@pytest.fixture(scope="module")
def make(exported: Path, samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The model file that a recipe makes of the small network, made once a recipe."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            suffix = ".tflite" if name.startswith("litert") else ".onnx"
            made[name] = tmp_path_factory.mktemp(name) / f"model{suffix}"
            TRIED[name] = recipes.quantize(name, source(exported, name), made[name], samples, {})
        return made[name]

    return make


def source(exported: Path, recipe: str) -> Path:
    return exported / ("qat" if recipe in LEARNED else "fp32")


def test_every_variant_has_a_recipe() -> None:
    assert {variant.recipe for variant in load_params().variants.values()} <= set(recipes.names())


@pytest.mark.parametrize("name", recipes.names())
def test_it_writes_one_file_that_runs_at_any_batch(name: str, make: Make, images: np.ndarray) -> None:
    path = make(name)
    assert {other.name for other in path.parent.iterdir()} <= {path.name, canonicalize.LAYERS}
    predict = open_model(path)
    for batch in (1, 7, 32):
        logits = predict(images[:batch])
        assert logits.shape == (batch, 10)
        assert logits.dtype == np.float32
        assert np.isfinite(logits).all()


@pytest.mark.parametrize("name", recipes.names())
def test_it_answers_like_the_network_it_was_made_of(name: str, make: Make, exported: Path, images: np.ndarray) -> None:
    expected = open_model(source(exported, name) / "model.onnx")(images).argmax(1)
    assert (open_model(make(name))(images).argmax(1) == expected).mean() >= 0.97


@pytest.mark.parametrize("name", recipes.names())
def test_its_file_is_tried_and_nothing_in_it_is_cut_off(
    name: str, make: Make, exported: Path, samples: Samples
) -> None:
    got, wanted = (
        open_model(path)(samples.calibration) for path in (make(name), source(exported, name) / "model.onnx")
    )
    figures = TRIED[name]
    assert figures.sqnr_db == pytest.approx(sqnr(wanted, got), abs=0.01)
    assert figures.sqnr_db > 25
    assert (figures.n, figures.non_finite) == (100, 0)
    assert (figures.clipped_biases, figures.clipped_weights, figures.unmatched_weights) == (0, 0, 0)


@pytest.mark.parametrize("name", recipes.names())
def test_it_says_how_it_is_called(name: str, make: Make) -> None:
    interface = integer_coverage.interface(make(name))
    assert (interface.input.dtype, interface.input.shape) == ("float32", (None, 28, 28))
    assert (interface.output.dtype, interface.output.shape) == ("float32", (None, 10))


@pytest.mark.parametrize("name", ONNX)
def test_its_layers_bear_the_names_of_the_networks_layers(
    name: str, make: Make, exported: Path, samples: Samples
) -> None:
    path, chosen = make(name), samples.selection.images
    found = layer_sqnr.measure(path, source(exported, name) / "model.onnx", chosen, open_model(path).feed(chosen))
    assert [layer.removeprefix("quant_") for layer in found] == ["conv2d", "dense"]
    assert min(found.values()) > 20


@pytest.mark.parametrize("name", LITERT)
def test_the_layers_of_litert_files_are_told_apart_too(
    name: str, make: Make, exported: Path, samples: Samples, tmp_path: Path
) -> None:
    """Held to a network whose dense layer is the negative, the error jumps there."""
    path, network, seen = make(name), canonicalize.load(source(exported, name) / "model.onnx"), samples.calibration
    fed = open_model(path).feed(seen)
    found = layer_sqnr.likely(path, source(exported, name) / "model.onnx", seen, fed)
    assert [layer.removeprefix("quant_") for layer in found] == ["conv2d", "dense"]
    assert min(found.values()) > 20
    assert layer_sqnr.jump(source(exported, name) / "model.onnx", found) is None
    (weights,) = [tensor for tensor in network.graph.initializer if len(tensor.dims) == 2]
    weights.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weights), weights.name))
    canonicalize.save(network, tmp_path / "model.onnx")
    turned = layer_sqnr.likely(path, tmp_path / "model.onnx", seen, fed)
    jump = layer_sqnr.jump(tmp_path / "model.onnx", turned)
    assert jump
    assert jump.layer.removeprefix("quant_") == "dense"


def test_what_litert_cuts_off_is_counted(make: Make, exported: Path, tmp_path: Path) -> None:
    """Weights at half their scale, and biases at the ends of int32."""
    path, network = make("litert_int8_static"), exported / "fp32/model.onnx"
    arrays = [numpy_helper.to_array(tensor) for tensor in onnx.load(network).graph.initializer]
    floats = {array.ndim: np.moveaxis(array, 1, -1) if array.ndim == 4 else array.T for array in arrays}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    lost = 0
    for tensor in model.subgraphs[0].tensors:
        buffer = model.buffers[tensor.buffer]
        if tensor.type == schema.TensorType.INT8 and buffer.data is not None:
            tensor.quantization.scale = tensor.quantization.scale / 2
            steps = floats[len(tensor.shape)] / tensor.quantization.scale.reshape(-1, *[1] * (len(tensor.shape) - 1))
            lost += int((np.abs(steps) > 127.51).sum())
            buffer.data = np.frombuffer(np.clip(np.rint(steps), -127, 127).astype(np.int8).tobytes(), np.uint8)
        elif tensor.type == schema.TensorType.INT32 and tensor.quantization is not None:
            buffer.data = np.frombuffer(np.full(tensor.shape, -(2**31) + 1, np.int32).tobytes(), np.uint8)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "model.tflite").write_bytes(bytes(builder.Output()))
    assert clipping.count(tmp_path / "model.tflite", network) == clipping.Clips(biases=22, weights=lost, unmatched=0)
    assert lost


@pytest.mark.parametrize("name", recipes.names())
def test_the_same_inputs_give_the_same_bytes(
    name: str, make: Make, exported: Path, samples: Samples, tmp_path: Path
) -> None:
    again = tmp_path / make(name).name
    recipes.quantize(name, source(exported, name), again, samples, {})
    assert again.read_bytes() == make(name).read_bytes()


@pytest.mark.parametrize("name", ONNX)
def test_onnx_is_canonical(name: str, make: Make) -> None:
    content = make(name).read_bytes()
    assert canonicalize.canonical(onnx.load_from_string(content)).SerializeToString(deterministic=True) == content


@pytest.mark.parametrize("name", INTEGER)
def test_int8_weights_are_integers_on_disk(name: str, make: Make) -> None:
    size = integer_coverage.measure_size(make(name), make("onnx_fp32"))
    assert integer_coverage.prove(make(name)).integer_weight_share == 1
    assert size.weight_bytes == 20_388 + 4 * 22
    assert size.ratio < 0.35


@pytest.mark.parametrize("name", recipes.names())
def test_an_unknown_option_is_refused(name: str, exported: Path, samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=f"Recipe '{name}': options: Unknown key 'bits'. Known: "):
        recipes.quantize(name, source(exported, name), tmp_path / "model.onnx", samples, {"bits": 3})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", LEARNED)
def test_learned_ranges_that_are_not_there_are_missed(
    name: str, exported: Path, samples: Samples, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="needs a quantization-aware network"):
        recipes.quantize(name, exported / "fp32", tmp_path / "model.onnx", samples, {})


def test_an_unknown_recipe_is_answered_with_the_known(tmp_path: Path, samples: Samples) -> None:
    with pytest.raises(ParamsError, match=r"Unknown recipe 'int3'\. Known: .*onnx_int8_static"):
        recipes.quantize("int3", tmp_path, tmp_path / "model.onnx", samples, {})
