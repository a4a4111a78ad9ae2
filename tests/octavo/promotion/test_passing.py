"""`octavo promote` of a variant that fails beside the baseline: refused from the figures alone, without MLflow."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from octavo.evaluation.scorecard import Scorecards
from octavo.project import paths
from octavo.project.errors import ModelError, PromotionRefused
from octavo.promotion import passing

ROOT = Path(__file__).parents[3]
RUN = """
import sys
from octavo.project.cli import main
try: main()
except SystemExit as stop: print(stop.code, 'mlflow' in sys.modules)
"""


@pytest.fixture
def project(scorecards: Scorecards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    paths.REPORTS.mkdir()
    paths.SCORECARDS.write_text(scorecards.model_dump_json(by_alias=True))
    return tmp_path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    silent = os.environ | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    command = [sys.executable, "-c", RUN, "promote", *arguments]
    return subprocess.run(command, env=silent, capture_output=True, text=True, check=True)


def test_a_variant_that_fails_is_refused_before_mlflow_is_asked(project: Path) -> None:
    done = run("onnx_fp16")
    assert done.stdout == "2 False\n"
    assert done.stderr.startswith("octavo: onnx_fp16 is not promoted, the verdict is fail: size ratio")
    assert "Passing beside the baseline: litert_int8_dynamic, " in done.stderr


def test_a_variant_that_passes_is_not_refused_here(project: Path) -> None:
    passing.require("litert_int8_dynamic")
    passing.require(None)


def test_the_baseline_has_no_verdict_and_an_unknown_name_no_figures(project: Path) -> None:
    with pytest.raises(PromotionRefused, match="onnx_fp32 is not promoted, it has no verdict, as the baseline"):
        passing.require("onnx_fp32")
    with pytest.raises(ModelError, match="Unknown variant 'no_such'"):
        passing.require("no_such")


def test_where_nothing_passes_each_variant_is_named_with_its_reason(project: Path) -> None:
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("max_size_ratio: 0.5", "max_size_ratio: 0.01"))
    with pytest.raises(PromotionRefused) as refused:
        passing.require(None)
    said = str(refused.value)
    assert said.count(" is not promoted, the verdict is fail: ") == said.count(", limit 0.01") == 9
    assert "Passing beside the baseline: none." in said
