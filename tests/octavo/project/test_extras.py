"""Where a library of an extra is missing, one sentence says how to install it; what no extra has stays a fault."""

import subprocess
import sys
from pathlib import Path

import pytest

from octavo.project import extras, foreign_code
from octavo.project.errors import boundary

pytestmark = pytest.mark.slow

TENSORFLOW = ModuleNotFoundError("No module named 'tf_keras.layers'", name="tf_keras.layers")
SENTENCE = "octavo: This needs tf_keras, which is not installed. Run: pip install 'octavo[train]'\n"
UNKNOWN = ModuleNotFoundError("No module named 'numbers_of_mine'", name="numbers_of_mine")


def test_a_command_says_which_extra_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, boundary():
        raise TENSORFLOW
    assert ended.value.code == 1
    assert capsys.readouterr().err == SENTENCE


def test_code_of_the_users_that_lacks_an_extra_is_told_the_same() -> None:
    with pytest.raises(ModuleNotFoundError) as raised, foreign_code.code("Network 'mine:build' cannot be imported"):
        raise TENSORFLOW
    assert raised.value is TENSORFLOW


def test_what_no_extra_has_is_no_matter_of_extras() -> None:
    with pytest.raises(ModuleNotFoundError), boundary():
        raise UNKNOWN
    with pytest.raises(ModuleNotFoundError, match="numbers_of_mine"):
        extras.absent(UNKNOWN)


def test_a_module_that_is_absent_says_so_when_it_is_used() -> None:
    module = extras.absent(TENSORFLOW)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'octavo\[train\]'") as raised:
        module.build()
    assert raised.value.name == "tf_keras.layers"


def test_extras_are_required_before_anything_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    extras.require("train", "mlflow", "dvc")
    monkeypatch.setitem(extras.EXTRAS, "dvc", ("dvc_of_tomorrow",))
    with pytest.raises(ModuleNotFoundError, match="dvc_of_tomorrow"):
        extras.require("mlflow", "dvc")


@pytest.mark.parametrize(("lacks", "said"), [("tf_keras", SENTENCE), ("numbers_of_mine", "Traceback")])
def test_a_stage_whose_own_imports_lack_a_library(lacks: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text(f"raise ModuleNotFoundError('No module', name='{lacks}')\n", encoding="utf-8")
    stage = [sys.executable, "-m", "octavo_stages.prepare"]
    done = subprocess.run(stage, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(said)
