"""A champion is used only as it was judged: no file of it changed, missing or added, whoever asks for it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from octavo.project.errors import AuditFailed, ModelError
from octavo.reporting.documents import signature
from octavo_mlflow.flavors import litert
from octavo_mlflow.registry import versions
from octavo_mlflow.serving import create, record
from octavo_mlflow.serving.record import Settings
from tests import keys
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.measured_project import CLASSES, Project

pytestmark = pytest.mark.slow

VARIANT, CHAMPION = "litert_int8_static", "models:/octavo@champion"


@pytest.fixture
def place(registered: Project, octavo: Octavo) -> Path:
    """The folder of the champion's model in the store itself."""
    assert octavo("promote", VARIANT)[0] == 0
    (folder,) = Path("mlruns").rglob(versions.model_id(registered.client().get_model_version("octavo", "2")))
    return folder / "artifacts"


def prepared(folder: Path) -> record.Deployment:
    folder.mkdir(exist_ok=True)
    create.prepare(folder, "cam", CHAMPION, None, Settings())
    return record.load(folder)


def add_a_line(place: Path) -> None:
    code = place / "code" / "octavo_mlflow" / "flavors" / "litert.py"
    code.write_text(f"{code.read_text()}\nopen('executed', 'w')\n")


def change_class_names(place: Path) -> None:
    path = place / "scorecard.json"
    card = json.loads(path.read_text())
    per_class = card["quality"]["vs_baseline"]["per_class"]
    card["quality"]["vs_baseline"]["per_class"] = dict(zip(("2", "1", "0"), per_class.values(), strict=True))
    path.write_text(json.dumps(card))


def add_a_file(place: Path) -> None:
    (place / "code" / "ai_edge_litert").mkdir()
    (place / "code" / "ai_edge_litert" / "__init__.py").write_text("open('executed', 'w')\n")


def leave_compiled_code(place: Path) -> None:
    (place / "code" / "octavo_mlflow" / "__pycache__").mkdir()
    (place / "code" / "octavo_mlflow" / "__pycache__" / "litert.cpython-311.pyc").write_bytes(b"?")


def remove_a_file(place: Path) -> None:
    (place / "scorecard.json").unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    "tamper", [add_a_line, change_class_names, add_a_file, leave_compiled_code, remove_a_file], ids=lambda f: f.__name__
)
def test_no_champion_is_used_whose_folder_was_changed(
    tamper: Callable[[Path], None], place: Path, octavo: Octavo, tmp_path: Path
) -> None:
    assert prepared(tmp_path / "before").classes == CLASSES
    assert mlflow.pyfunc.load_model(CHAMPION).predict is not None
    assert not list(place.rglob("__pycache__")), "loading leaves nothing in the store"
    tamper(place)
    loaders: list[Callable[[], object]] = [
        lambda: mlflow.pyfunc.load_model(CHAMPION),
        lambda: mlflow.pyfunc.load_model("models:/octavo/2"),
        lambda: litert.load_model(CHAMPION),
        lambda: mlflow.artifacts.download_artifacts(f"{CHAMPION}/scorecard.json"),
        lambda: prepared(tmp_path / "after"),
    ]
    for load in loaders:
        with pytest.raises((MlflowException, ModelError)) as refused:
            load()
        assert "Files beside the model of version 2 of octavo are not those that were judged, by record 1" in str(
            refused.value
        )
        assert ("delete code/octavo_mlflow/__pycache__" in str(refused.value)) is (tamper is leave_compiled_code)
    assert not list((tmp_path / "after").iterdir())
    code, _, stderr = octavo("audit")
    assert (code, "files beside the model of version 2 are not those that were judged" in stderr) == (2, True)
    assert octavo("rollback", "1")[0] == 0
    assert octavo("rollback", "2")[0] == 1
    assert mlflow.pyfunc.load_model(CHAMPION)


@pytest.mark.slow
def test_nothing_of_a_changed_folder_is_executed(place: Path) -> None:
    command = [sys.executable, "-c", f"import mlflow; mlflow.pyfunc.load_model('{CHAMPION}')"]
    add_a_file(place)
    add_a_line(place)
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert asked.returncode != 0
    assert "are not those that were judged" in asked.stderr
    assert not Path("executed").exists()


@pytest.mark.slow
def test_what_is_signed_anew_after_a_change_does_not_verify(
    place: Path, octavo: Octavo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = keys.make(tmp_path, "signing", "phrase")
    monkeypatch.setenv("OCTAVO_SIGNING_PASSWORD", "phrase")
    add_a_file(place)
    code, _, stderr = octavo("sign", "--key", str(pair.private))
    assert (code, "are not those that were judged" in stderr) == (1, True)
    signature.sign(place, pair.private, "phrase")
    code, _, stderr = octavo("verify", "--key", str(pair.public))
    assert (code, "are not those that were judged" in stderr, stderr.count("\n")) == (1, True, 1)


@pytest.mark.slow
def test_log_and_alias_have_to_say_what_is_in_service(registered: Project, place: Path, tmp_path: Path) -> None:
    client = registered.client()
    client.set_registered_model_alias("octavo", "champion", "1")
    with pytest.raises(AuditFailed, match="moved by other means"):
        prepared(tmp_path / "moved")
    client.set_registered_model_alias("octavo", "champion", "2")
    assert prepared(tmp_path / "back").variant == VARIANT
    client.delete_registered_model_tag("octavo", "audit.head")
    with pytest.raises(AuditFailed, match=r"audit\.head of octavo, which vouches for its audit log, was deleted"):
        prepared(tmp_path / "lost")
    with pytest.raises(MlflowException, match=r"audit\.head of octavo"):
        mlflow.pyfunc.load_model(CHAMPION)


@pytest.mark.slow
@pytest.mark.parametrize("tamper", [change_class_names, add_a_file], ids=lambda f: f.__name__)
def test_what_was_never_champion_is_used_and_promoted_as_it_was_registered(
    tamper: Callable[[Path], None], registered: Project, octavo: Octavo, tmp_path: Path
) -> None:
    (folder,) = Path("mlruns").rglob(versions.model_id(registered.client().get_model_version("octavo", "2")))
    tamper(folder / "artifacts")
    (tmp_path / "cam").mkdir()
    sentence = "Files beside the model of version 2 of octavo are not those that were registered"
    with pytest.raises(ModelError, match=sentence):
        create.prepare(tmp_path / "cam", "cam", "models:/octavo/2", None, Settings())
    with pytest.raises(MlflowException, match=sentence):
        mlflow.pyfunc.load_model("models:/octavo/2")
    code, _, stderr = octavo("promote", VARIANT)
    assert (code, sentence in stderr) == (1, True)
    assert registered.client().get_registered_model("octavo").aliases == {}
