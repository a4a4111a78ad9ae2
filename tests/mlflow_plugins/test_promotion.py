import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlflow_plugins.promotion import promote
from pipeline import layout


def run(*arguments: str) -> Result:
    return CliRunner().invoke(promote, arguments)


def aliases(project) -> dict[str, str]:
    client = project.client()
    numbers = client.get_registered_model("octavo").aliases
    return {alias: client.get_model_version("octavo", number).tags["variant"] for alias, number in numbers.items()}


def test_champion_moves_and_the_one_before_stays_as_previous(project):
    project.register()
    first = run("onnx_fp32")
    assert (first.exit_code, first.stdout) == (0, "champion: octavo version 1 (onnx_fp32)\n")
    second = run("litert_int8_static", "--json")
    assert json.loads(second.stdout) == {
        "model": "octavo",
        "variant": "litert_int8_static",
        "version": "2",
        "previous": "1",
    }
    assert aliases(project) == {"champion": "litert_int8_static", "previous": "onnx_fp32"}
    assert run("litert_int8_static").exit_code == 0
    assert aliases(project) == {"champion": "litert_int8_static", "previous": "onnx_fp32"}


@pytest.mark.parametrize("verdict", ["fail", "underpowered"])
def test_a_variant_that_did_not_pass_is_refused_with_its_reasons(project, verdict):
    project.register()
    project.write({"litert_int8_static": verdict})
    refused = run("litert_int8_static")
    assert refused.exit_code == 2
    assert f"verdict is {verdict}: accuracy -0.02, limit -0.01. Passing: onnx_fp32." in refused.stderr
    assert aliases(project) == {}


def test_the_registered_bytes_must_be_the_measured_ones(project):
    project.register()
    (stored,) = Path("mlruns").rglob("model.tflite")
    stored.write_bytes(b"swapped")
    refused = run("litert_int8_static")
    assert refused.exit_code == 1
    assert "is not the model that was measured" in refused.stderr
    assert aliases(project) == {}


def test_figures_newer_than_the_registered_ones_are_not_promoted(project):
    project.register()
    project.change("onnx_fp32", notes=["measured again"])
    refused = run("onnx_fp32")
    assert refused.exit_code == 1
    assert "no version of octavo for onnx_fp32 as measured. Run dvc repro" in refused.stderr


def test_nothing_to_promote_gets_a_sentence(project, monkeypatch):
    assert "Unknown variant 'onnx_int3'. Measured: onnx_fp32" in run("onnx_int3").stderr
    layout.DECISION.write_text("{}")
    assert "has no verdict on 'onnx_fp32'. Run dvc repro." in run("onnx_fp32").stderr
    layout.DECISION.unlink()
    assert run("onnx_fp32").exit_code == 1
    project.write()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert run("onnx_fp32").exit_code == 3
