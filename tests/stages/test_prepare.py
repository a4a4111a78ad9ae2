"""The stage as DVC runs it: in the project's root, a process of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline import layout
from pipeline.splits import load_manifest, load_split
from stages import prepare

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_params(project: Path, **data: object) -> None:
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    (project / "params.yaml").write_text(yaml.safe_dump(params | {"data": data}), encoding="utf-8")


def test_splits_lie_where_the_layout_says(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_params(project, source="digits")
    prepare.main()

    manifest = load_manifest(layout.MANIFEST)
    for name, record in manifest.splits.items():
        assert len(load_split(layout.split(name)).labels) == record.n
    assert capsys.readouterr().err.startswith("digits: 10 classes; images: train ")


def test_bad_input_ends_with_one_sentence_and_exit_code_1(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(project / "own.npz", x_train=np.zeros((3, 4, 4)))
    write_params(project, source="npz", path="own.npz")

    with pytest.raises(SystemExit) as ending:
        prepare.main()

    assert ending.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("octavo: own.npz has no y_train, x_test, y_test (it has x_train).")
    assert said.count("\n") == 1
    assert not layout.ARTIFACTS.exists()


def test_the_stage_starts_without_heavy_libraries(project: Path) -> None:
    write_params(project, source="digits")
    heavy = {"tensorflow", "tf_keras", "onnxruntime", "mlflow", "dvc"}
    program = f"import sys; from stages import prepare; prepare.main(); sys.exit(str(sys.modules.keys() & {heavy}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(PARAMS.parent)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr.splitlines()[-1] == "set()"
