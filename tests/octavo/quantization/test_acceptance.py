"""Every recipe's file is tried beside its network; what is wrong is refused, and nothing of it is left."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper

from octavo.backends.records import Refusal
from octavo.data.splits import Samples, Split
from octavo.onnx_graph import canonicalize
from octavo.project.errors import DataError, ModelError, ParamsError
from octavo.project.params.section import Model
from octavo.quantization import recipes
from octavo.quantization.acceptance import FileRefused
from tests.octavo import onnx_graphs as graphs

SAMPLES = Samples(graphs.images(), Split(graphs.images(), np.zeros(64, np.int64)))
Write = Callable[[onnx.ModelProto, Path], None]


class Options(Model):
    pass


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    for node in model.graph.node:
        node.doc_string = {"Reshape": "pooled", "Relu": node.input[0]}.get(node.op_type, node.output[0])
    return model


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    canonicalize.save(named(graphs.stack(2)), tmp_path / "exported/model.onnx")
    return tmp_path / "exported"


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Where the file is to go; whatever happens, nothing but that file may come into its folder."""
    path = tmp_path / "target/model.onnx"
    yield path
    left = {each.name for each in path.parent.iterdir()} if path.parent.exists() else set()
    assert left <= {path.name, canonicalize.LAYERS}


@pytest.fixture
def run(exported: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Run a recipe that writes what `write` makes of the network."""

    def run(write: Write, samples: Samples = SAMPLES, name: str = "onnx_mine") -> object:
        def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
            write(canonicalize.load(exported / "model.onnx"), target)

        monkeypatch.setattr(
            recipes, "load", lambda _: SimpleNamespace(Options=Options, quantize=quantize, __file__=__file__)
        )
        return recipes.quantize(name, exported, target, samples, {})

    return run


def refused(run: Callable[..., object], write: Write, samples: Samples = SAMPLES) -> Refusal:
    with pytest.raises(FileRefused) as caught:
        run(write, samples)
    assert caught.value.exit_code == 2
    assert str(caught.value) == f"{caught.value.refusal.reason} {caught.value.refusal.remedy}"
    return caught.value.refusal


def scaled(model: onnx.ModelProto, path: Path, factor: float = 1.5) -> None:
    """Outputs that are `factor` times those of the network."""
    _append(model, helper.make_node("Mul", ["y/own", "factor"], ["y"]), factor)
    canonicalize.save(model, path)


def _append(model: onnx.ModelProto, node: onnx.NodeProto, constant: float) -> None:
    for each in model.graph.node:
        each.output[:] = ["y/own" if name == "y" else name for name in each.output]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(constant, np.float32), "factor"))
    model.graph.node.append(node)


def test_the_figures_are_those_of_the_outputs(run: Callable[..., object], target: Path) -> None:
    figures = run(lambda model, path: scaled(model, path, 1.1))
    assert figures.sqnr_db == pytest.approx(20, abs=0.01)  # type: ignore[attr-defined]
    assert figures.relative_rms_error == pytest.approx(0.1, rel=1e-3)  # type: ignore[attr-defined]
    assert (figures.agreement, figures.n, figures.non_finite) == (1, 64, 0)  # type: ignore[attr-defined]
    assert target.is_file()


def test_the_limit_is_the_variants_own(run: Callable[..., object], target: Path) -> None:
    refusal = refused(run, scaled)
    assert (refusal.cause, refusal.acceptance and refusal.acceptance.sqnr_db) == ("low SQNR", 6.02)
    assert "SQNR is 6.02 dB" in refusal.reason
    assert "limit is 10 dB (min_sqnr_db)" in refusal.reason
    assert "set min_sqnr_db: 6" in refusal.remedy
    assert not target.exists()
    run(scaled, Samples(SAMPLES.calibration, SAMPLES.selection, 6))
    assert target.is_file()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_counted_and_refused(run: Callable[..., object], value: float) -> None:
    """However low the limit is."""
    lowest = Samples(SAMPLES.calibration, SAMPLES.selection, -200)
    refusal = refused(run, lambda model, path: scaled(model, path, value), lowest)
    assert refusal.cause == "not finite"
    assert refusal.acceptance
    assert 0 < refusal.acceptance.non_finite <= 64 * 3
    assert f"gives {refusal.acceptance.non_finite} values that are NaN or infinite for 64 images" in refusal.reason
    assert refusal.acceptance.relative_rms_error is None


@pytest.mark.parametrize("layer", ["c0", "c1", "y"])
def test_the_first_layer_at_which_the_error_jumps_is_named(run: Callable[..., object], layer: str) -> None:
    def spoil(model: onnx.ModelProto, path: Path) -> None:
        (node,) = [node for node in model.graph.node if node.doc_string == layer and node.op_type in ("Conv", "Gemm")]
        (weight,) = [tensor for tensor in model.graph.initializer if tensor.name == node.input[1]]
        values = onnx.numpy_helper.to_array(weight)
        weight.CopyFrom(onnx.numpy_helper.from_array(-values, weight.name))
        canonicalize.save(model, path)

    refusal = refused(run, spoil)
    assert refusal.jump
    assert refusal.jump.layer == layer
    assert f"The error jumps at layer {layer}: " in refusal.reason
    assert list(refusal.layer_sqnr_db) == ["c0", "c1", "pooled", "y"]


def test_a_network_that_is_not_finite_itself_is_told_so(run: Callable[..., object], exported: Path) -> None:
    scaled(canonicalize.load(exported / "model.onnx"), exported / "model.onnx", np.nan)
    refusal = refused(run, canonicalize.save)
    assert refusal.reason == "The network itself gives values that are NaN or infinite for 64 of 64 images."
    assert refusal.remedy.startswith("Train it again")


def test_a_file_that_cannot_be_loaded_is_refused_with_the_same_words_each_time(run: Callable[..., object]) -> None:
    def write(model: onnx.ModelProto, path: Path) -> None:
        path.write_bytes(b"no model")

    refusal = refused(run, write)
    assert (refusal.cause, refusal.acceptance) == ("not runnable", None)
    assert "onnxruntime cannot load" in refusal.reason
    assert refused(run, write) == refusal


def test_a_file_of_another_shape_is_refused(run: Callable[..., object]) -> None:
    def write(model: onnx.ModelProto, path: Path) -> None:
        _append(model, helper.make_node("Concat", ["y/own", "y/own"], ["y"], axis=1), 0)
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 6
        canonicalize.save(model, path)

    refusal = refused(run, write)
    assert refusal.cause == "not runnable"
    assert "shape (64, 6), but those of the network have (64, 3)" in refusal.reason


def test_a_file_that_is_not_written_is_refused(run: Callable[..., object]) -> None:
    assert refused(run, lambda *_: None).reason == "Recipe 'onnx_mine' wrote no file."


def test_a_network_that_the_recipe_cannot_quantize_is_refused_with_its_sentence(run: Callable[..., object]) -> None:
    def write(model: onnx.ModelProto, path: Path) -> None:
        raise ModelError("It has no learned ranges.")

    refusal = refused(run, write)
    assert (refusal.cause, refusal.reason) == ("not made", "It has no learned ranges.")


@pytest.mark.parametrize(
    "raised", [ValueError("of the user's own"), SystemExit(0), FileNotFoundError(2, "no such file")]
)
def test_whatever_a_recipe_raises_is_told_with_its_line(run: Callable[..., object], raised: BaseException) -> None:
    def write(model: onnx.ModelProto, path: Path) -> None:
        canonicalize.save(model, path)
        raise raised

    refusal = refused(run, write)
    assert refusal.cause == "not made"
    line, kind = write.__code__.co_firstlineno + 2, type(raised).__name__.replace("SystemExit", "sys.exit")
    assert refusal.reason.startswith("Recipe 'onnx_mine' fails: ")
    assert refusal.reason.endswith(f"test_acceptance.py, line {line}: {kind}: {raised}.")


@pytest.mark.parametrize(
    "raised", [ParamsError("a typing mistake"), DataError("no images"), OSError(errno.ENOSPC, "full"), MemoryError()]
)
def test_what_is_not_the_networks_fault_refuses_nothing(run: Callable[..., object], raised: Exception) -> None:
    def write(model: onnx.ModelProto, path: Path) -> None:
        raise raised

    with pytest.raises(type(raised)):
        run(write)


def test_a_missing_network_is_no_refusal(run: Callable[..., object], exported: Path) -> None:
    (exported / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"No .*model\.onnx\. Run dvc repro") as caught:
        run(canonicalize.save)
    assert not isinstance(caught.value, FileRefused)


def test_what_stood_in_the_place_stays_where_the_new_file_is_refused(run: Callable[..., object], target: Path) -> None:
    run(canonicalize.save)
    before = target.read_bytes()
    refused(run, scaled)
    assert target.read_bytes() == before


def test_a_recipe_with_a_slip_in_its_code_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is trained: the stage `check` loads every recipe."""
    (tmp_path / "hasty").mkdir()
    (tmp_path / "hasty/slip.py").write_text("import no_such_library\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ParamsError, match=r"^Recipe 'hasty.slip' cannot be loaded: .*slip\.py, line 1: ModuleNotFound"):
        recipes.load("hasty.slip")


def test_repair_is_the_remedy_where_it_is_told(tmp_path: Path) -> None:
    """Channels ten thousand times larger than their neighbours: 8 bits for both leave nothing of the small ones."""
    network = named(graphs.stack(3))
    graphs.plant_outliers(network, "c0", "c1", 1e4)
    graphs.plant_outliers(network, "c1", "c2", 1e3)
    canonicalize.save(network, tmp_path / "model.onnx")
    place = tmp_path / "made/model.onnx"
    with pytest.raises(FileRefused, match=r"SQNR is .* jumps at layer c1: .* Set repair: \{\} in its options"):
        recipes.quantize("onnx_int8_static", tmp_path, place, SAMPLES, {})
    with pytest.MonkeyPatch.context() as here:
        here.chdir(tmp_path)
        assert recipes.quantize("onnx_int8_static", tmp_path, place, SAMPLES, {"repair": {}}).sqnr_db >= 10
        assert recipes.quantize("onnx_int8_static", tmp_path, place, SAMPLES, {"search": {}}).sqnr_db >= 10
