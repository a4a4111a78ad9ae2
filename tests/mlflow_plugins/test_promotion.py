import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import cli, layout
from tests.mlflow_plugins.measured_project import Project

Octavo = Callable[..., tuple[int | str | None, str, str]]


@pytest.fixture
def octavo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Octavo:
    """Run the `octavo` command: its exit code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["octavo", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


def aliases(project: Project) -> dict[str, str]:
    client = project.client()
    numbers = client.get_registered_model("octavo").aliases
    return {alias: client.get_model_version("octavo", number).tags["variant"] for alias, number in numbers.items()}


def test_champion_moves_and_the_one_before_stays_as_previous(project: Project, octavo: Octavo) -> None:
    project.register()
    assert octavo("promote", "onnx_fp32")[:2] == (0, "champion: octavo version 1 (onnx_fp32)\n")
    code, stdout, _ = octavo("promote", "litert_int8_static", "--json")
    assert code == 0
    assert json.loads(stdout) == {
        "model": "octavo",
        "variant": "litert_int8_static",
        "version": "2",
        "previous": "1",
    }
    assert aliases(project) == {"champion": "litert_int8_static", "previous": "onnx_fp32"}
    assert octavo("promote", "litert_int8_static")[0] == 0
    assert aliases(project) == {"champion": "litert_int8_static", "previous": "onnx_fp32"}


@pytest.mark.parametrize("verdict", ["fail", "underpowered"])
def test_a_variant_that_did_not_pass_is_refused_with_its_reasons(
    project: Project, octavo: Octavo, verdict: str
) -> None:
    project.register()
    project.write({"litert_int8_static": verdict})
    code, _, stderr = octavo("promote", "litert_int8_static")
    assert code == 2
    assert f"the verdict is {verdict}: accuracy 0.02, limit 0.01. Passing: onnx_fp32." in stderr
    assert aliases(project) == {}


def test_the_baseline_has_no_verdict(project: Project, octavo: Octavo) -> None:
    decision = json.loads(layout.DECISION.read_text())
    decision["verdicts"] = [verdict for verdict in decision["verdicts"] if verdict["variant"] != "onnx_fp32"]
    layout.DECISION.write_text(json.dumps(decision))
    code, _, stderr = octavo("promote", "onnx_fp32")
    assert code == 2
    assert "no verdict, as the baseline never has. Passing: litert_int8_static." in stderr


def test_the_registered_bytes_must_be_the_measured_ones(project: Project, octavo: Octavo) -> None:
    project.register()
    (stored,) = Path("mlruns").rglob("model.tflite")
    stored.write_bytes(b"swapped")
    code, _, stderr = octavo("promote", "litert_int8_static")
    assert code == 1
    assert "is not the model that was measured" in stderr
    assert aliases(project) == {}


def test_figures_newer_than_the_registered_ones_are_not_promoted(project: Project, octavo: Octavo) -> None:
    project.register()
    project.change("onnx_fp32", notes=["measured again"])
    code, _, stderr = octavo("promote", "onnx_fp32")
    assert code == 1
    assert "no version of octavo for onnx_fp32 as measured. Run dvc repro" in stderr


def test_nothing_to_promote_gets_a_sentence(project: Project, octavo: Octavo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Unknown variant 'onnx_int3'. Measured: onnx_fp32" in octavo("promote", "onnx_int3")[2]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert octavo("promote", "onnx_fp32")[0] == 3
    layout.DECISION.unlink()
    assert octavo("promote", "onnx_fp32")[0] == 1
