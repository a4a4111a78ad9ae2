"""ONNX in MLflow: the measured bytes, and through pyfunc the measured answers."""

import json
from pathlib import Path

import mlflow
import mlflow.onnx
import numpy as np
import onnx
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from onnx import helper

from octavo.backends import model_files
from octavo.backends.onnxruntime import exact_sums
from octavo.backends.registry import open_model
from octavo.onnx_graph import canonicalize, external_tensors, file_io, qdq, session_options
from octavo.onnx_graph.rewrites import network_input
from octavo.project.errors import ModelError
from octavo.quantization import calibration, ptq
from octavo_mlflow.flavors import bundled_code, image_pyfunc
from octavo_mlflow.flavors import onnx as flavor
from tests.octavo.onnx_graphs import drawn, network
from tests.octavo_mlflow.measured_project import MakeProject, Project

BYTES = np.random.default_rng(3).integers(0, 256, (50, 4, 4), np.uint8)
FLOATS = BYTES.astype(np.float32) / np.float32(255)


def dense() -> onnx.ModelProto:
    """Logits of 4×4 images; neighbouring weights are large and of one sign."""
    weights = np.abs(drawn(16, 3)) * np.array([1, -1, 1], np.float32) + drawn(16, 3, seed=1) / 10
    nodes = [helper.make_node("Reshape", ["x", "flat"], ["row"]), helper.make_node("Gemm", ["row", "w", "b"], ["y"])]
    return network(nodes, {"flat": np.array([0, -1]), "w": weights, "b": np.zeros(3, np.float32)}, (4, 4))


def in_integers() -> onnx.ModelProto:
    """Where products are added in 16 bits its answers are others."""
    model = dense()
    ranges = {
        name: calibration.min_max(seen) for name, seen in calibration.observe(model, ptq.points(model), FLOATS).items()
    }
    return ptq.quantize(model, ranges)


def taking_bytes() -> onnx.ModelProto:
    model = in_integers()
    network_input.take_bytes(model)
    return model


def weight_only() -> onnx.ModelProto:
    """Asks to be run in float."""
    model = dense()
    qdq.store_for_float(model, ["Gemm"], qdq.nearest)
    session_options.ask(model, session_options.RUN_IN_FLOAT)
    return model


MODELS = {made.__name__: made for made in (dense, in_integers, taking_bytes, weight_only)}
ASKED = {
    "dense": [],
    "in_integers": [],
    "taking_bytes": [],
    "weight_only": [session_options.RUN_IN_FLOAT],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", MODELS)
def test_log_load_predict_is_what_the_runtime_answers_in_either_encoding(name: str, project: Project) -> None:
    path = project.folder / "model.onnx"
    canonicalize.save(MODELS[name](), path)
    expected = open_model(path)(FLOATS)
    np.testing.assert_array_equal(open_model(path)(BYTES), expected)
    mlflow.set_tracking_uri(f"sqlite:///{project.folder}/mlflow.db")
    signature = flavor.signature_of(path)
    with mlflow.start_run():
        flavor.log_model(
            path, "net", signature=signature, input_example=image_pyfunc.example(signature), registered_model_name="net"
        )

    loaded = mlflow.pyfunc.load_model("models:/net/1")
    for data in FLOATS, BYTES, {"x": FLOATS}, FLOATS.astype(np.float64), FLOATS.tolist(), FLOATS.reshape(-1, 16):
        np.testing.assert_array_equal(loaded.predict(data), expected)
    np.testing.assert_array_equal(loaded.predict(BYTES.tolist(), params={"dtype": "uint8"}), expected)
    options = loaded.get_raw_model().get_session_options()
    assert [options.get_session_config_entry(key) for key in ASKED[name]] == ["1"] * len(ASKED[name])
    assert options.intra_op_num_threads == 1
    assert loaded.get_raw_model().get_providers() == ["CPUExecutionProvider"]

    stored = Path(mlflow.artifacts.download_artifacts("models:/net/1"))
    assert list(Model.load(str(stored)).flavors["onnx"]["onnx_session_options"]["extra_session_config"]) == ASKED[name]
    assert (stored / "model.onnx").read_bytes() == path.read_bytes()
    assert mlflow.onnx.load_model("models:/net/1") == onnx.load(path)


@pytest.mark.parametrize("asked", [{}, {exact_sums.OPTION: "1"}])
@pytest.mark.parametrize(
    ("name", "cut_off", "exact"), [("in_integers", True, True), ("in_integers", False, False), ("dense", True, False)]
)
def test_sums_are_exact_where_this_cpu_needs_it_whatever_the_file_asks(
    name: str, cut_off: bool, exact: bool, asked: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canonicalize.save(MODELS[name](), folder / "model.onnx")
    expected = open_model(folder / "model.onnx")(FLOATS)
    flavor.save_model("model.onnx", "saved", onnx_session_options={"extra_session_config": asked})
    monkeypatch.setattr(exact_sums, "cut_off_here", lambda: cut_off)
    loaded = mlflow.pyfunc.load_model("saved")
    assert exact_sums._is_set(loaded.get_raw_model().get_session_options(), exact_sums.OPTION) is exact
    if cut_off:  # else they may be cut off on the CPU of this test
        np.testing.assert_array_equal(loaded.predict(FLOATS), expected)


def test_what_mlflow_alone_opens_runs_with_the_same_options(folder: Path) -> None:
    """Whoever takes our code away, or reads the `MLmodel` elsewhere, has the options of `mlflow.onnx`."""
    canonicalize.save(weight_only(), folder / "model.onnx")
    flavor.save_model("model.onnx", "saved")
    session = mlflow.onnx._load_pyfunc(str(folder / "saved/model.onnx")).rt
    assert session.get_session_options().get_session_config_entry(session_options.RUN_IN_FLOAT) == "1"
    np.testing.assert_array_equal(session.run(None, {"x": FLOATS})[0], open_model(folder / "model.onnx")(FLOATS))


def test_the_signature_and_the_example_say_what_is_taken(folder: Path) -> None:
    for name in "dense", "taking_bytes":
        canonicalize.save(MODELS[name](), folder / "model.onnx")
        signature = flavor.signature_of("model.onnx")
        flavor.save_model("model.onnx", name, input_example=image_pyfunc.example(signature), metadata={"by": "test"})
        saved = Model.load(name)
        assert saved.signature == signature
        (tensor,) = saved.signature.inputs.inputs
        assert (tensor.type, tensor.shape) == (np.dtype("uint8" if "bytes" in name else "float32"), (-1, 4, 4))
        assert [param.name for param in saved.signature.params] == ["dtype"]
        request = json.loads(Path(name, "serving_input_example.json").read_text())
        assert request == {"inputs": [[[0] * 4] * 4], "params": {"dtype": "uint8"}}
        assert set(saved.flavors) == {"onnx", "python_function"}
        assert saved.metadata == {"by": "test"}
        assert (saved.model_size_bytes or 0) > Path("model.onnx").stat().st_size
        code = Path(name, "code", bundled_code.PACKAGE.name)
        assert {str(path.relative_to(code)) for path in code.rglob("*.py")} == set(bundled_code.FILES)
        assert "octavo" not in Path(name, "requirements.txt").read_text()


def test_a_wrong_request_gets_a_sentence(folder: Path) -> None:
    canonicalize.save(dense(), folder / "model.onnx")
    flavor.save_model("model.onnx", "saved")
    loaded = mlflow.pyfunc.load_model("saved")
    with pytest.raises(MlflowException, match=r"images of shape \(-1, 4, 4\), the batch first; got \(1, 3, 4\)"):
        loaded.predict(FLOATS[:1, 1:])
    with pytest.raises(MlflowException, match=r"pixels in 0\.\.255, or values\?"):
        loaded.predict(BYTES.tolist())


def test_a_model_of_two_files_is_registered_whole(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past 2 GB, or here 1 kB, weights lie beside: both files are held to what was measured."""
    project = make_project("onnx_fp32")
    path = Path(project.scorecards.card("onnx_fp32").model.path)
    monkeypatch.setattr(external_tensors, "LARGE", 100)
    monkeypatch.setattr(file_io, "LIMIT", 300)
    canonicalize.save(onnx.load(path), path)
    data = path.with_name("model.onnx.data")
    assert data.is_file()
    project.change("onnx_fp32", model=model_files.of(path))
    images = np.random.default_rng(0).normal(size=(5, 4, 4)).astype(np.float32)
    expected = open_model(path)(images)

    project.register()
    loaded = mlflow.pyfunc.load_model("models:/octavo/1")
    np.testing.assert_array_equal(loaded.predict(images), expected)
    assert mlflow.onnx.load_model("models:/octavo/1") == onnx.load(path)
    stored = Path(mlflow.artifacts.download_artifacts("models:/octavo/1"))
    assert (stored / data.name).read_bytes() == data.read_bytes()

    data.write_bytes(data.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match=r"model\.onnx is not the model that was measured"):
        project.register()
