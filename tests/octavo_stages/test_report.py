"""The `report` stage, run as DVC runs it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from octavo.project import paths

PARAMS = Path(__file__).parents[2] / "params.yaml"
PAIRED = {
    "delta": 0.0,
    "ci": [-0.02, 0.02],
    "broke": 0,
    "fixed": 0,
    "agreement": 0.99,
    "per_class": {"zero": [0, 0, 200], "one": [0, 0, 200]},
}
QUALITY = {
    "top1": 0.9,
    "n": 400,
    "ci95": [0.85, 0.94],
    "per_class_recall": [0.9, 0.9],
    "confusion": [[180, 20], [20, 180]],
    "vs_baseline": PAIRED,
}


def card(ratio: float, integers: float) -> dict[str, Any]:
    return {
        "model": {"path": "model.onnx", "sha256": "a" * 64},
        "quality": QUALITY,
        "size": {"file_bytes": int(80_000 * ratio), "weight_bytes": 20_000, "ratio": ratio, "floor_ratio": 1.1},
        "proof": {"integer_weight_share": integers, "integer_compute_share": integers, "float_nodes": []},
        "notes": [],
    }


def latency(ratio: float) -> dict[str, Any]:
    figures = {"p50_us": 10 * ratio, "p90_us": 11 * ratio, "p99_us": None}
    return {"1": {"n": 100, **figures, "ratio": ratio, "ratio_ci95": [ratio * 0.99, ratio * 1.01]}}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project of two variants in which every stage before the report has run."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load(PARAMS.read_text())
    params["variants"] = {name: params["variants"][name] for name in ("onnx_fp32", "onnx_int8_static")}
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    write(paths.card("onnx_fp32"), card(1.0, 0.0))
    write(paths.card("onnx_int8_static"), card(0.3, 1.0))
    timed = {"onnx_fp32": latency(1.0), "onnx_int8_static": latency(0.9)}
    models = dict.fromkeys(timed, "a" * 64)
    write(paths.BENCHMARK, {"machine": {"cpu": "test"}, "models": models, "threads": 1, "latency": timed})
    write(paths.MANIFEST, {"source": "digits", "classes": ["zero", "one"], "digest": "b" * 64})


def run_stage() -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "octavo_stages.report"], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_the_stage_writes_every_report_and_decides() -> None:
    done = run_stage()
    assert done.returncode == 0
    assert re.fullmatch(r"report: onnx_int8_static is the winner, see reports/report.html \([\d.]+ s\)\n", done.stderr)
    assert json.loads(paths.DECISION.read_text())["winner"] == "onnx_int8_static"
    for path in (paths.SCORECARDS, paths.METRICS, paths.TRADEOFF, paths.REPORT):
        assert "onnx_int8_static" in path.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_a_missing_measurement_ends_in_one_sentence() -> None:
    paths.BENCHMARK.unlink()
    done = run_stage()
    assert done.returncode == 1
    assert done.stderr == "octavo: No artifacts/benchmark.json. Run dvc repro.\n"
    assert not paths.REPORTS.exists()
