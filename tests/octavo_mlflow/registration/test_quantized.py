"""`octavo quantize --register`, read back from MLflow."""

import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from octavo.backends.registry import open_model
from octavo.evaluation.scorecard import load_scorecards
from octavo.project.errors import ParamsError
from octavo.reporting.one_command.quantize import quantize
from octavo_mlflow.registration import quantized
from octavo_mlflow.registry import versions
from tests.octavo.reporting.one_command import patterns

RECIPES = ("onnx_fp16", "onnx_int8_weight_only")
VARIANTS = ("onnx_fp32", *RECIPES)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> MlflowClient:
    """Of MLflow in an empty folder, which becomes the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


def run(n: int = 60, **options: Any) -> None:
    pixels, labels = patterns.images(n)
    np.savez("data.npz", x=pixels, y=labels)
    model = patterns.network(Path("net.onnx"))
    quantize(model, Path("data.npz"), patterns.OPTIONS | {"register": True, "recipes": RECIPES} | options)


def test_each_variant_is_a_run_and_a_version_with_its_figures(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    cards = load_scorecards(Path("net-octavo/scorecards.json"))
    experiment = client.get_experiment_by_name("net-octavo")
    assert experiment
    runs = {each.info.run_name: each for each in client.search_runs([experiment.experiment_id])}
    found = {each.tags["variant"]: each for each in client.search_model_versions("name = 'net-octavo'")}
    assert runs.keys() == found.keys() == set(VARIANTS)
    for name, version in found.items():
        card, logged = cards.card(name), runs[name]
        assert logged.info.status == "FINISHED"
        assert version.run_id == logged.info.run_id
        assert logged.data.metrics["accuracy"] == pytest.approx(card.quality.top1, abs=1e-4)
        assert logged.data.metrics["latency_us"] == pytest.approx(card.latency.batches["1"].p50_us, abs=0.1)
        assert version.tags["size_bytes"] == str(card.size.file_bytes)
        with versions.fetched(client, version) as file:
            assert file.read_bytes() == Path("net-octavo", name, "model.onnx").read_bytes()
    (recommended,) = [each for each in found.values() if quantized.RECOMMENDED in each.tags]
    said = capsys.readouterr()
    assert f"Recommended: version {recommended.version}, {recommended.tags['variant']}." in said.err
    assert f'"ship": "{recommended.tags["variant"]}"' in said.out


def test_a_version_answers_as_its_file_does(client: MlflowClient) -> None:
    run(recipes=("onnx_fp16",))
    mlflow.set_tracking_uri(f"sqlite:///{Path.cwd()}/mlflow.db")
    pixels, _ = patterns.images(5)
    (version,) = client.search_model_versions("name = 'net-octavo' and tag.variant = 'onnx_fp16'")
    loaded = mlflow.pyfunc.load_model(f"models:/net-octavo/{version.version}")
    answers = loaded.predict(pixels)  # the model's encoding is the flavor's affair
    assert np.array_equal(answers, open_model(Path("net-octavo/onnx_fp16/model.onnx"))(pixels))


def test_a_second_run_adds_versions(client: MlflowClient) -> None:
    for _ in range(2):
        run(recipes=("onnx_fp16",))
    assert len(client.search_model_versions("name = 'net-octavo'")) == 4


def test_without_labels_no_accuracy_is_registered(client: MlflowClient) -> None:
    run(unlabelled=True, recipes=("onnx_fp16",))
    for version in client.search_model_versions("name = 'net-octavo'"):
        assert not {"accuracy", "accuracy_delta"} & (
            version.tags.keys() | client.get_run(str(version.run_id)).data.metrics.keys()
        )
        assert "agreement" in version.tags


def test_a_model_of_somebody_else_is_left_alone(client: MlflowClient) -> None:
    client.create_registered_model("net-octavo")
    with pytest.raises(ParamsError, match="that octavo quantize did not make"):
        run()
    assert not Path("net-octavo").exists()
    assert not client.search_model_versions("name = 'net-octavo'")


def test_a_name_that_mlflow_refuses(client: MlflowClient) -> None:
    with pytest.raises(ParamsError, match="no : and '"):
        run(out=Path("a:b"))
    assert not Path("a:b").exists()
