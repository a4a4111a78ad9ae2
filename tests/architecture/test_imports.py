"""Imports go down only, and each heavy library stays in its room."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT, imported_names, imports_inside_functions, source_files, stage_names

TENSORFLOW = ("tensorflow", "tf_keras", "tf2onnx", "tensorflow_model_optimization")
ROOMS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(TENSORFLOW, ("network", "finetune")),
    "mlflow": ("register",),
    "dvc": (),
}
"""Heavy library -> the stages that may start with it."""
QUANTIZATION = Path("pipeline/octavo/quantization")


def test_import_rules_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_function_imports() -> None:
    found = [f"{file}:{line}" for file in source_files() for line in imports_inside_functions(ROOT, file)]
    assert not found, f"Import at the top of the file: {', '.join(found)}"


def test_quantization_imports_tensorflow_only_in_the_process_of_its_converter() -> None:
    with_tensorflow = [
        file
        for file in source_files()
        if file.is_relative_to(QUANTIZATION)
        and any(name.split(".")[0] in TENSORFLOW for name in imported_names(ROOT, file))
    ]
    assert with_tensorflow == [QUANTIZATION / "converter/process.py"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", stage_names())
def test_a_stage_starts_without_the_heavy_libraries_of_others(stage: str) -> None:
    probe = f"import json, sys, octavo_stages.{stage}; print(json.dumps(sorted(set(sys.modules) & set({list(ROOMS)}))))"
    result = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    loaded = json.loads(result.stdout.splitlines()[-1])
    assert [library for library in loaded if stage not in ROOMS[library]] == []
