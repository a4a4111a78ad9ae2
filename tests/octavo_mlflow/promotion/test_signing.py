"""A version is held to what was signed, whatever was swapped in MLflow, by whoever has the public key alone."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from octavo.project import paths
from octavo.promotion import gate
from octavo.reporting.documents import bundle, signature
from octavo_mlflow.registration import artifacts
from octavo_mlflow.registry import versions
from tests import keys
from tests.keys import Keys
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.measured_project import MakeProject, Project, Serve

pytestmark = pytest.mark.slow

VARIANT = "litert_int8_static"
PHRASE = "correct horse"


def version(number: str) -> ModelVersion:
    return MlflowClient().get_model_version("octavo", number)


def stored(number: str) -> Path:
    """The folder of a version's model in the store itself."""
    (folder,) = Path("mlruns").rglob(versions.model_id(version(number)))
    return folder / "artifacts"


def accompany(project: Project) -> Project:
    """Register, and see to it that everything is there that goes beside a model."""
    project.register()
    decision = gate.decide(project.scorecards, project.params.policy, "onnx_fp32")
    for found in project.client().search_model_versions("name = 'octavo'"):
        card = project.scorecards.card(versions.variant(found))
        names = (str(found.run_id), versions.model_id(found))
        artifacts.log(*names, card, project.scorecards, decision, project.params)
    return project


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Keys that the environment names."""
    pair = keys.make(tmp_path, "signing", PHRASE)
    monkeypatch.setenv("OCTAVO_SIGNING_KEY", str(pair.private))
    monkeypatch.setenv("OCTAVO_SIGNING_PASSWORD", PHRASE)
    monkeypatch.setenv("OCTAVO_VERIFYING_KEY", str(pair.public))
    return pair


@pytest.fixture
def signed(project: Project, octavo: Octavo, pair: Keys) -> Project:
    """Version 2 is the champion, and signed."""
    accompany(project)
    assert octavo("promote", VARIANT)[0] == 0
    assert octavo("sign")[0] == 0
    return project


def test_the_champion_is_signed_and_holds(project: Project, octavo: Octavo, pair: Keys, tmp_path: Path) -> None:
    accompany(project)
    code, _, stderr = octavo("verify")
    assert (code, "octavo has no champion yet. Name a version, or promote one" in stderr) == (1, True)
    assert octavo("promote", VARIANT)[0] == 0
    code, _, stderr = octavo("verify")
    assert (code, stderr) == (
        1,
        f"octavo: Version 2 of octavo ({VARIANT}) has no signature. Sign it: octavo sign 2.\n",
    )

    code, stdout, stderr = octavo("sign")
    key = version("2").tags["signed.by"]
    assert (code, stdout, stderr) == (0, f"Version 2 of octavo ({VARIANT}) is signed with the key {key}\n", "")
    assert version("2").tags["signed.when"].endswith("+00:00")
    assert octavo("verify")[:2] == (0, f"Version 2 of octavo ({VARIANT}) is what was signed with the key {key}\n")
    assert octavo("verify", "1")[0] == 1

    downloaded = Path(mlflow.artifacts.download_artifacts("models:/octavo@champion", dst_path=str(tmp_path / "got")))
    assert {*bundle.NAMES, signature.FILE, "registered_model_meta", "MLmodel"} <= {p.name for p in downloaded.iterdir()}
    assert signature.verify(downloaded, pair.public) == key
    assert mlflow.pyfunc.load_model("models:/octavo@champion")
    assert octavo("verify")[0] == 0


def test_whatever_is_changed_in_mlflow_is_named(signed: Project, octavo: Octavo) -> None:
    folder = stored("2")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix() for path in files}
    assert {"data/model.tflite", "code/octavo_mlflow/flavors/litert.py", *bundle.NAMES, signature.FILE} <= names
    for path in files:
        content = path.read_bytes()
        for change in (lambda path: path.write_bytes(path.read_bytes() + b" "), Path.unlink):
            change(path)
            code, _, stderr = octavo("verify")
            name, gone = path.relative_to(folder).as_posix(), not path.exists()
            if name == signature.FILE:
                assert (code, "there is no model.sig" in stderr) == ((2, True) if gone else (0, False))
            elif name != "registered_model_meta":
                what = f"{name} is gone" if gone else f"{name} was changed"
                assert (code, stderr) == (
                    2,
                    f"octavo: Version 2 of octavo ({VARIANT}) is not what was signed: {what}.\n",
                )
            path.write_bytes(content)
    (folder / "code/more.py").write_text("import os")
    assert "code/more.py was added" in octavo("verify")[2]
    shutil.rmtree(folder)
    assert octavo("verify")[::2] == (1, "octavo: Version 2 of octavo has no files in MLflow any more.\n")


def test_another_versions_files_do_not_do_for_it(make_project: MakeProject, octavo: Octavo, pair: Keys) -> None:
    """All of them signed by the right key, and put in place of another version's."""
    accompany(make_project("onnx_fp32", "onnx_int8_static", VARIANT))
    assert octavo("sign", "1")[0] == octavo("sign", "2")[0] == 0
    folder = stored("2")
    shutil.rmtree(folder)
    shutil.copytree(stored("1"), folder)
    code, _, stderr = octavo("verify", "2")
    assert code == 2
    assert "is signed, but not as this version: model.onnx is not the file that was measured; scorecard.json" in stderr
    for tag in ("model.sha256", "octavo.digest"):
        MlflowClient().set_model_version_tag("octavo", "2", tag, version("1").tags[tag])
    code, _, stderr = octavo("verify", "2")
    assert code == 2
    assert stderr.endswith("is signed, but not as this version: its MLmodel is that of another model.\n")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "data/model.tflite").write_bytes(b"swapped"), "data/model.tflite is not the file"),
        (lambda folder: (folder / bundle.BOM).unlink(), "it has no bom.cdx.json"),
        (
            lambda folder: (folder / bundle.SCORECARD).write_text("{}"),
            "scorecard.json is not the one that was registered",
        ),
        (lambda folder: better(folder / bundle.SCORECARD), "scorecard.json is not the one that was registered"),
        (lambda folder: (folder / "MLmodel").unlink(), "its MLmodel is that of another model"),
    ],
)
def test_what_is_not_as_it_was_registered_is_not_signed(
    change: Callable[[Path], object], told: str, project: Project, octavo: Octavo, pair: Keys
) -> None:
    accompany(project)
    change(stored("2"))
    code, _, stderr = octavo("sign", "2")
    assert code == 1
    assert f"Version 2 of octavo ({VARIANT}) is not signed: {told}" in stderr
    assert "signed.by" not in version("2").tags
    assert not (stored("2") / signature.FILE).exists()


def better(path: Path) -> None:
    card = json.loads(path.read_text())
    card["quality"]["top1"] = 1.0
    path.write_text(json.dumps(card))


def test_keys_and_versions_that_will_not_do_get_a_sentence(
    signed: Project, octavo: Octavo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = keys.make(tmp_path, "other")
    code, _, stderr = octavo("verify", "--key", str(other.public))
    assert (code, "it was signed with the key" in stderr, stderr.count("\n")) == (2, True, 1)
    monkeypatch.setenv("OCTAVO_SIGNING_PASSWORD", "battery staple")
    code, stdout, stderr = octavo("sign")
    assert (code, "does not open" in stderr, "battery" in stdout + stderr, stderr.count("\n")) == (1, True, False, 1)
    for name in ("OCTAVO_SIGNING_PASSWORD", "OCTAVO_SIGNING_KEY", "OCTAVO_VERIFYING_KEY"):
        monkeypatch.delenv(name)
    for arguments, told in {
        ("sign",): "No private key. Give --key PATH, or set OCTAVO_SIGNING_KEY. Make one: openssl",
        ("verify",): "No public key. Give --key PATH, or set OCTAVO_VERIFYING_KEY.",
        ("sign", "--key", str(tmp_path / "none")): "none cannot be read: No such file or directory.",
        ("sign", "7", "--key", str(other.private)): "octavo has no version 7. See octavo status.",
        ("verify", "x", "--key", str(other.public)): "octavo has no version x. See octavo status.",
        ("verify", "1", "--key", str(other.public), "--model", "none"): "none has no version 1.",
    }.items():
        code, _, stderr = octavo(*arguments)
        assert (code, told in stderr, stderr.count("\n")) == (1, True, 1), stderr
    assert octavo("sign", "--key", str(other.private))[0] == 0
    assert octavo("verify", "--key", str(other.public))[0] == 0


def test_to_verify_takes_mlflow_and_the_public_key_and_no_network(
    signed: Project, octavo: Octavo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a project nor the private key; whoever reaches for the network fails."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{signed.folder}/mlflow.db")
    monkeypatch.delenv("OCTAVO_SIGNING_KEY")
    monkeypatch.delenv("OCTAVO_SIGNING_PASSWORD")

    def refused(self: socket.socket, address: object) -> None:
        raise AssertionError(f"somebody connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", refused)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert octavo("verify", "2", "--model", "octavo")[0] == 0
    assert not paths.SCORECARDS.exists()


def test_a_version_that_octavo_did_not_register_is_not_signed(project: Project, octavo: Octavo, pair: Keys) -> None:
    accompany(project)
    MlflowClient().create_model_version("octavo", "file:///somewhere")
    code, _, stderr = octavo("sign", "3")
    assert (code, "Octavo did not register it" in stderr) == (1, True)


@pytest.mark.slow
def test_it_works_through_a_server_that_keeps_the_artifacts(
    project: Project, octavo: Octavo, pair: Keys, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ["server", "--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "artifacts-of-server"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", serve([*server, "--workers", "1"], "/health"))
    accompany(project)
    assert octavo("sign", "1")[0] == 0
    assert octavo("verify", "1")[0] == 0
    found = Path("artifacts-of-server").rglob(bundle.MODEL_CARD)
    (card,) = [path for path in found if path.read_text().startswith("# octavo: onnx_fp32\n")]
    card.write_text("It is perfect.")
    code, _, stderr = octavo("verify", "1")
    assert (code, "is not what was signed: model_card.md was changed." in stderr) == (2, True)
