"""The evaluator `quantization`: what it finds of our models and of others', and that it keeps out of the rest."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import mlflow.onnx
import numpy as np
import onnx
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import EvaluationResult
from onnx import helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from octavo.backends import model_files
from octavo_mlflow.flavors import litert
from tests.octavo.onnx_graphs import drawn, network
from tests.octavo_mlflow import measured_project
from tests.octavo_mlflow.measured_project import MakeProject, Project, onnx_bytes, tflite_bytes, worse

TEST = measured_project.test_split()
X = TEST.images.reshape(len(TEST.images), -1)
OURS = ("accuracy", "size_bytes", "latency_us", "latency_us_p90", "integer_weight_share", "integer_compute_share")
BESIDE = ("accuracy_delta", "agreement", "size_ratio", "latency_ratio")

pytestmark = pytest.mark.slow


def evaluate(model: Any, data: Any = X, targets: Any = TEST.labels, **config: Any) -> EvaluationResult:
    return mlflow.models.evaluate(
        model,
        data,
        targets=targets,
        model_type="classifier",
        evaluators="quantization",
        evaluator_config={"rounds": 2, **config},
    )


@pytest.fixture
def registered(make_project: MakeProject) -> Project:
    """Version 1 is the baseline; version 2, of the other format, gets about 20 images more wrong."""
    project = make_project("onnx_fp32", "litert_int8_static")
    project.weigh("litert_int8_static", worse(20))
    project.register()
    return project


def test_the_figures_are_those_of_the_scorecard(registered: Project) -> None:
    card = registered.scorecards.card("litert_int8_static")
    model_id = str(MlflowClient().get_model_version("octavo", "2").source).removeprefix("models:/")
    with mlflow.start_run() as run:
        result = evaluate(f"models:/{model_id}", baseline="models:/octavo/1")
    metrics = result.metrics
    assert set(metrics) == {*OURS, *BESIDE}
    assert metrics["accuracy"] == pytest.approx(card.quality.top1, abs=1e-6)
    assert metrics["accuracy_delta"] == pytest.approx(card.quality.vs_baseline.delta, abs=1e-6)
    assert metrics["accuracy_delta"] <= -20 / len(X)
    assert metrics["agreement"] == pytest.approx(card.quality.vs_baseline.agreement, abs=1e-6)
    sizes = [model_files.path_of(name).stat().st_size for name in ("litert_int8_static", "onnx_fp32")]
    assert (metrics["size_bytes"], metrics["size_ratio"]) == (sizes[0], pytest.approx(sizes[0] / sizes[1], abs=1e-6))
    assert 0 < metrics["latency_us"] <= metrics["latency_us_p90"]
    assert (metrics["integer_weight_share"], metrics["integer_compute_share"]) == (0, 0)

    logged = MlflowClient().get_run(run.info.run_id)
    assert logged.data.metrics == metrics
    assert logged.inputs
    (dataset,) = logged.inputs.dataset_inputs
    model = MlflowClient().get_logged_model(model_id)
    of_model = {metric.key: metric.value for metric in model.metrics or [] if metric.run_id == run.info.run_id}
    assert of_model == metrics
    assert {metric.dataset_digest for metric in model.metrics or []} >= {dataset.dataset.digest}

    proof = result.artifacts["quantization_proof"]
    assert proof.content["proof"]["integer_compute_share"] == 0
    assert set(proof.content["latency"]) == {"model", "baseline"}
    assert result.artifacts["quantization_confusion_matrix"].content.size > (100, 100)
    stored = {each.path for each in MlflowClient().list_artifacts(run.info.run_id, "quantization")}
    assert stored == {"quantization/confusion_matrix.png", "quantization/proof.json"}
    result.save("saved")
    assert EvaluationResult.load("saved").metrics == metrics


def _plain(folder: Path) -> str:
    """Logged by MLflow alone, without a signature."""
    return mlflow.onnx.log_model(onnx.load_from_string(onnx_bytes()), name="plain", pip_requirements=[]).model_uri


def _dynamic(folder: Path) -> str:
    """Quantized by onnxruntime's own tool."""
    (folder / "float.onnx").write_bytes(onnx_bytes())
    quantize_dynamic(folder / "float.onnx", folder / "dynamic.onnx")
    return mlflow.onnx.log_model(onnx.load(folder / "dynamic.onnx"), name="dynamic", pip_requirements=[]).model_uri


def _one_by_one(folder: Path) -> str:
    """Takes one image a call."""
    model = onnx.load_from_string(onnx_bytes())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return mlflow.onnx.log_model(model, name="one", pip_requirements=[]).model_uri


def _unknown(folder: Path) -> str:
    """Distances to three prototypes, by an operator whose work is not counted; the nearest is the class."""
    nodes = [
        helper.make_node("CDist", ["x", "w"], ["d"], domain="com.microsoft", metric="sqeuclidean"),
        helper.make_node("Neg", ["d"], ["y"]),
    ]
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", size]) for name, size in (("x", 16), ("y", 3))
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [numpy_helper.from_array(drawn(3, 16), "w")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return mlflow.onnx.log_model(model, name="unknown", pip_requirements=[]).model_uri


def test_a_share_that_cannot_be_counted_is_unknown(
    registered: Project, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to be called all integer, as whatever has no operator of a short list was."""
    monkeypatch.setattr(logging.getLogger("octavo_mlflow.evaluation.evaluator"), "propagate", True)
    with mlflow.start_run() as run:
        result = evaluate(_unknown(registered.folder), metric_prefix="val_")
    assert set(result.metrics) == {f"val_{name}" for name in OURS if name != "integer_compute_share"}
    assert result.metrics["val_integer_weight_share"] == 0
    assert result.artifacts["quantization_proof"].content["proof"]["integer_compute_share"] is None
    assert mlflow.get_run(run.info.run_id).data.tags["val_integer_compute_share"] == "unknown"
    assert "cannot count the operations of com.microsoft.CDist" in caplog.text


def _litert(folder: Path) -> str:
    (folder / "net.tflite").write_bytes(tflite_bytes())
    return litert.log_model(folder / "net.tflite", "net").model_uri


@pytest.mark.parametrize("log", [_plain, _dynamic, _one_by_one, _litert])
def test_it_measures_models_of_others(log: Callable[[Path], str], registered: Project) -> None:
    with mlflow.start_run():
        metrics = evaluate(log(registered.folder)).metrics
    assert set(metrics) == set(OURS)
    assert metrics["accuracy"] == pytest.approx(29 / 30, abs=0.01)
    assert metrics["integer_weight_share"] == metrics["integer_compute_share"] == (log is _dynamic)


@pytest.mark.parametrize("as_frame", [False, True])
def test_images_and_classes_come_as_people_have_them(registered: Project, as_frame: bool) -> None:
    """Bytes for a model in int8 or in float, and classes by name."""
    images = np.random.default_rng(5).integers(0, 256, (200, 16), np.uint8)
    pixels = images.astype(np.float32) / np.float32(255)
    Path("int8.tflite").write_bytes(tflite_bytes(int8_input=True))
    model = litert.LiteRTModel(model_files.path_of("litert_int8_static"))
    expected = model.predict(pixels.reshape(-1, 4, 4)).argmax(1)
    names = np.array(["cat", "dog", "owl"])[expected]
    data, targets = (pd.DataFrame(images).assign(animal=names), "animal") if as_frame else (images, names)
    with mlflow.start_run():
        found = evaluate("models:/octavo/2", data, targets, label_list=["cat", "dog", "owl"], metric_prefix="val_")
        assert found.metrics["val_accuracy"] == 1
        integers = images.astype(np.int64)
        assert evaluate("models:/octavo/2", integers, expected, dtype="uint8").metrics["accuracy"] == 1
        uri = litert.log_model("int8.tflite", "int8").model_uri
        assert (
            evaluate(uri, images, litert.LiteRTModel("int8.tflite").predict(images).argmax(1)).metrics["accuracy"] == 1
        )


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"rounds": 0}, r"evaluator_config of quantization: rounds"),
        ({"dtype": "int4"}, r"evaluator_config of quantization: dtype"),
        ({"baseline": "models:/octavo/99"}, "99"),
    ],
)
def test_a_wrong_setting_gets_a_sentence(registered: Project, config: dict[str, Any], sentence: str) -> None:
    with mlflow.start_run(), pytest.raises(MlflowException, match=sentence):
        evaluate("models:/octavo/1", **config)


def test_what_is_no_classifier_of_images_is_left_out_and_told(
    registered: Project, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("octavo_mlflow.evaluation.evaluator"), "propagate", True)
    two = network([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": drawn(16, 3)}, (16,))
    two.graph.output.add().CopyFrom(two.graph.output[0])
    two.graph.output[1].name = "x"
    with mlflow.start_run():
        uri = mlflow.onnx.log_model(two, name="two", pip_requirements=[]).model_uri
        for model, data, targets, why in (
            (uri, X, TEST.labels, "several inputs or outputs"),
            ("models:/octavo/1", X[:, 1:], TEST.labels, r"takes images of shape"),
            ("models:/octavo/1", X, TEST.labels + 1, r"Targets are 1 to 3"),
            (
                "models:/octavo/1",
                np.where(np.arange(16) == 3, np.nan, X),
                TEST.labels,
                "NaN or infinite for 900 of 900",
            ),
            ("models:/octavo/1", X, np.array(["a"] * len(X)), "label_list"),
        ):
            with pytest.raises(MlflowException, match="could not be evaluated by any"):
                evaluate(model, data, targets)
            assert why in caplog.records[-1].getMessage()


def test_models_of_others_are_evaluated_as_ever(registered: Project) -> None:
    """`evaluators=None` runs every evaluator that is installed."""
    with mlflow.start_run():
        result = mlflow.models.evaluate(
            lambda data: TEST.labels[: len(data)], X, targets=TEST.labels, model_type="classifier"
        )
    assert result.metrics["accuracy_score"] == 1
    assert not set(OURS) & set(result.metrics)
