"""`octavo pin` takes one version's file from MLflow's registry, and refuses everything that is not what it says."""

import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import mlflow.sklearn
import onnx
import pytest
import yaml
from mlflow import MlflowClient
from sklearn.tree import DecisionTreeClassifier

from octavo.brought import pinned
from octavo.onnx_graph import file_io
from octavo.project.code import stages
from octavo.project.params.params import load_params
from octavo_mlflow.flavors.pinning import stored_file
from octavo_mlflow.registry import versions
from octavo_mlflow.tracking import connection
from tests.octavo.onnx_graph.foreign.made import classifier, dense, node
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.flavors.pinning.registry import champion, entry, log, refused, state, write
from tests.octavo_mlflow.measured_project import Project

FILE = Path("models/shared.onnx")
Change = Callable[[MlflowClient, Path], None]


def other() -> onnx.ModelProto:
    return dense(node("Relu", ["input"], ["x"]))


@pytest.mark.parametrize("external", [True, False])
def test_it_stays_at_the_version_until_it_is_updated(client: MlflowClient, octavo: Octavo, external: bool) -> None:
    place = log(classifier(), save_as_external_data=external)
    text = Path("params.yaml").read_text()
    assert octavo("pin")[:2] == (0, f"shared: models:/door@champion, version 1, sha256 {entry_sum()} ({FILE})\n")
    assert file_io.load(FILE) == file_io.load(place / "model.onnx")
    assert [path.name for path in Path("models").iterdir()] == ["shared.onnx"]
    if not external:
        assert FILE.read_bytes() == (place / "model.onnx").read_bytes()
    pin = f', version: 1, sha256: "{pinned.digest(FILE)}", file: "{FILE}"}} # theirs\n'
    assert Path("params.yaml").read_text() == text.replace("} # theirs\n", pin)

    before, digests = state(), stages.digests(load_params())
    log(other())
    assert octavo("pin")[1] == f"shared: pinned to version 1, unchanged ({FILE})\n"
    assert state() == before
    assert stages.digests(load_params()) == digests

    old = entry_sum()
    said = octavo("pin", "--update", "shared")[1]
    assert said == f"shared: models:/door@champion, version 1 -> 2, sha256 {old} -> {entry_sum()} ({FILE})\n"
    assert (entry()["version"], entry()["sha256"]) == (2, pinned.digest(FILE))
    assert old != entry_sum()
    assert octavo("pin", "--update")[1] == f"shared: pinned to version 2, unchanged ({FILE})\n"


def entry_sum() -> str:
    return str(entry().get("sha256", ""))[:12]


def test_a_fresh_clone_gets_the_same_bytes(client: MlflowClient, octavo: Octavo) -> None:
    log(classifier())
    assert octavo("pin")[0] == 0
    before = state()
    log(other())
    shutil.rmtree("models")
    assert octavo("pin")[1] == f"shared: pinned to version 1, fetched again ({FILE})\n"
    assert state() == before


@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize("arguments", [(), ("--update",)])
def test_a_file_that_was_changed_in_the_store(
    client: MlflowClient, octavo: Octavo, external: bool, arguments: tuple[str, ...]
) -> None:
    place = log(classifier(), save_as_external_data=external)
    assert octavo("pin")[0] == 0
    shutil.rmtree("models")
    (path,) = place.glob("*.data" if external else "model.onnx")
    content = bytearray(path.read_bytes())
    content[-1 if external else content.index(b"main_graph")] ^= 1
    path.write_bytes(content)
    assert "Either somebody changed it there, or you changed the name" in refused(octavo, *arguments)


def test_a_version_of_ours_is_checked_as_ever(registered: Project, octavo: Octavo) -> None:
    write("brought:\n  shared: {uri: models:/octavo/1}\n  best: {uri: models:/octavo@champion}")
    assert octavo("pin", "shared")[0] == 0
    assert FILE.read_bytes() == Path("artifacts/models/onnx_fp32/model.onnx").read_bytes()
    assert octavo("promote", "onnx_fp32", "--force", "--reason", "test")[0] == 0
    assert octavo("pin", "best")[0] == 0
    registered.client().set_registered_model_alias("octavo", "champion", "2")
    code, _, said = octavo("pin", "--update", "best")
    assert (code, entry()["version"]) == (2, 1), said
    FILE.unlink()
    (folder,) = Path("mlruns").rglob(versions.model_id(registered.client().get_model_version("octavo", "1")))
    (folder / "artifacts" / "scorecard.json").write_text("{}")
    code, _, said = octavo("pin", "shared")
    assert (code, FILE.exists()) == (1, False)
    assert "Files beside the model of version 1 of octavo are not those that were judged" in said


def test_a_quantized_file_of_ours_is_no_network_to_start_from(registered: Project, octavo: Octavo) -> None:
    write("brought:\n  shared: {uri: models:/octavo/2}")
    assert "has the flavor 'litert', which is never opened" in refused(octavo)


def delete_version(client: MlflowClient, _: Path) -> None:
    client.delete_model_version("door", "1")


def delete_alias(client: MlflowClient, _: Path) -> None:
    client.delete_registered_model_alias("door", "champion")


def delete_model(client: MlflowClient, _: Path) -> None:
    client.delete_registered_model("door")


def described(key: str, value: object) -> Change:
    def change(_: MlflowClient, place: Path) -> None:
        path = place / "MLmodel"
        found = yaml.safe_load(path.read_text())
        found["flavors"]["onnx"][key] = value
        path.write_text(yaml.safe_dump(found))

    return change


def written(name: str, content: bytes) -> Change:
    def change(_: MlflowClient, place: Path) -> None:
        (place / name).write_bytes(content)

    return change


def removed(name: str) -> Change:
    return lambda _, place: (place / name).unlink()


def huge(name: str) -> Change:
    return lambda _, place: os.truncate(place / name, stored_file.LARGEST + 1)


def outside(location: str) -> Change:
    """Let the network take its weights from there."""

    def change(_: MlflowClient, place: Path) -> None:
        found = onnx.load(place / "model.onnx", load_external_data=False)
        for tensor in found.graph.initializer:
            for each in tensor.external_data:
                each.value = location if each.key == "location" else each.value
        (place / "model.onnx").write_bytes(found.SerializeToString())

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (delete_alias, "model 'door' has no alias 'champion' in MLflow"),
        (delete_version, "model 'door' has no alias 'champion' in MLflow"),
        (delete_model, "has no registered model 'door'. Known: none"),
        (described("data", "../../../../params.yaml"), "allowed are files inside its folder"),
        (described("data", "/etc/passwd"), "allowed are files inside its folder"),
        (described("data", "%2e%2e/model.onnx"), "allowed are files inside its folder"),
        (described("data", ["model.onnx"]), "allowed are files inside its folder"),
        (described("data", None), "allowed are files inside its folder"),
        (described("data", "conda.yaml"), "is not in a file .onnx"),
        (described("data", "elsewhere/model.onnx"), "no file elsewhere/model.onnx"),
        (written("MLmodel", b"flavors: [&a [*a]]"), "The description MLmodel of version 1 of 'door' is damaged"),
        (written("MLmodel", b"\x00\xff"), "The description MLmodel of version 1 of 'door' is damaged"),
        (written("MLmodel", b"flavors: {octavo_litert: {data: model.tflite}}"), "has the flavor 'octavo_litert'"),
        (removed("MLmodel"), "MLflow has no file MLmodel of version 1 of 'door'"),
        (removed("model.onnx"), "MLflow has no file model.onnx of version 1 of 'door'"),
        (huge("MLmodel"), "The file MLmodel of version 1 of 'door' has 8,589,934,593 bytes, allowed are 16,777,216"),
        (huge("model.onnx"), "has 8,589,934,593 bytes, allowed are 8,589,934,592"),
        (written("model.onnx", b"no network"), "cannot be used. model.onnx is not ONNX"),
        (outside("../../../../params.yaml"), "outside its folder"),
        (outside("/etc/passwd"), "outside its folder"),
        (outside("missing.data"), "MLflow has no file missing.data of version 1 of 'door'"),
    ],
)
def test_what_cannot_be_trusted(client: MlflowClient, octavo: Octavo, change: Change, said: str) -> None:
    change(client, log(classifier()))
    assert said in refused(octavo)


@pytest.mark.parametrize("place", ["../outside/x.onnx", "/elsewhere/x.onnx", ".git/x.onnx", "models/.hidden/x.onnx"])
def test_a_file_goes_into_the_repository(client: MlflowClient, octavo: Octavo, place: str) -> None:
    log(classifier())
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("champion}", f"champion, file: {place}}}"))
    assert f"brought.shared.file is {place}, and a fetched file goes into the repository" in refused(octavo)
    assert not Path(place).exists()


def test_weights_that_are_huge(client: MlflowClient, octavo: Octavo, request: pytest.FixtureRequest) -> None:
    (data,) = log(classifier()).glob("*.data")
    os.truncate(data, stored_file.LARGEST)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**24, most))  # nothing large is copied before it is refused
    request.addfinalizer(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
    assert f"The file {data.name} of version 1 of 'door' has 8,589,934,592 bytes, allowed are 8,589," in refused(octavo)


def test_a_network_with_two_inputs(client: MlflowClient, octavo: Octavo) -> None:
    two = dense(node("Add", ["input", "more"], ["x"]))
    two.graph.input.add().CopyFrom(two.graph.input[0])
    two.graph.input[1].name = "more"
    log(two)
    said = refused(octavo)
    assert "The model in version 1 of 'door' cannot be used. model.onnx" in said
    assert "input, more" in said


def test_a_pickle_is_named_and_never_opened(client: MlflowClient, octavo: Octavo) -> None:
    tree = DecisionTreeClassifier().fit([[0], [1]], [0, 1])
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            tree,
            name="tree",
            registered_model_name="door",
            pip_requirements=["scikit-learn"],
            serialization_format="cloudpickle",
        )
    place = champion(info)
    (pickled,) = place.glob("*.pkl")
    pickled.write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    said = refused(octavo)
    assert "The model in version 1 of 'door' has the flavor 'sklearn', which is never opened" in said
    assert "allowed are onnx, tensorflow, keras. Export the network to ONNX" in said


def test_the_version_is_gone_when_the_file_is_missing(client: MlflowClient, octavo: Octavo) -> None:
    log(classifier())
    assert octavo("pin")[0] == 0
    FILE.unlink()
    client.delete_model_version("door", "1")
    assert "Version 1 of model 'door' is not in MLflow" in (said := refused(octavo))
    assert "or move on: octavo pin --update shared." in said


def test_files_of_the_user_are_not_overwritten(client: MlflowClient, octavo: Octavo) -> None:
    log(classifier())
    FILE.parent.mkdir()
    FILE.write_bytes(b"mine")
    assert "models/shared.onnx is there, and is not version 1 of 'door'" in refused(octavo)
    FILE.unlink()
    assert octavo("pin")[0] == 0
    log(other())
    FILE.write_bytes(b"mine")
    assert "Move it away, then run octavo pin shared" in refused(octavo)
    assert "is there, and is not version 2 of 'door'" in refused(octavo, "--update")
    FILE.unlink()
    FILE.mkdir()
    assert "models/shared.onnx is there, and is not version 1 of 'door'" in refused(octavo)


def test_the_entry_names_the_file(client: MlflowClient, octavo: Octavo) -> None:
    log(classifier())
    write("brought:\n  shared:\n    uri: models:/door/1 # fixed\n    file: nets/a/door.onnx\n")
    assert octavo("pin")[0] == 0
    assert pinned.digest(Path("nets/a/door.onnx")) == entry()["sha256"]
    assert (
        f'file: nets/a/door.onnx\n    version: 1\n    sha256: "{entry()["sha256"]}"\n'
        in Path("params.yaml").read_text()
    )
    write("brought: {shared: {uri: models:/door/1, file: net.keras}}")
    assert "brought.shared.file is net.keras, and the model in version 1 of 'door' is a file .onnx" in refused(octavo)


def test_another_model_by_hand_is_noticed_by_the_update(client: MlflowClient, octavo: Octavo) -> None:
    log(classifier())
    assert octavo("pin")[0] == 0
    client.create_registered_model("window")
    place = log(other())
    client.create_model_version("window", str(place))
    client.set_registered_model_alias("window", "champion", "1")
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("models:/door@", "models:/window@"))
    assert "or you changed the name in uri: then remove version and sha256" in refused(octavo, "--update")
    Path("params.yaml").write_text(
        text[: text.index(", version")].replace("door", "window") + text[text.index(", file") :]
    )
    assert "models/shared.onnx is there, and is not version 1 of 'window'" in refused(octavo)
    FILE.unlink()
    assert octavo("pin")[0] == 0
    assert file_io.load(FILE) == file_io.load(place / "model.onnx")


def test_another_version_by_hand_is_told(client: MlflowClient, octavo: Octavo) -> None:
    log(classifier())
    log(other())
    write("brought: {shared: {uri: models:/door/1}}")
    assert octavo("pin")[0] == 0
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("models:/door/1", "models:/door/2"))
    assert "uri names version 2, and version is 1. Run octavo pin --update shared." in refused(octavo)
    assert "version 1 -> 2" in octavo("pin", "--update", "shared")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("shred",), "Unknown network 'shred'. Did you mean 'shared'? Known: shared."),
        (("mine",), "brought.mine is the file mine.onnx, and only entries with a uri are pinned"),
    ],
)
def test_names_are_checked(client: MlflowClient, octavo: Octavo, arguments: tuple[str, ...], said: str) -> None:
    write("brought:\n  shared: {uri: models:/door@champion}\n  mine: {file: mine.onnx}")
    assert said in refused(octavo, *arguments)


def test_nothing_to_pin(client: MlflowClient, octavo: Octavo) -> None:
    write("brought: {}")
    assert "No entry of brought in params.yaml has a uri" in refused(octavo)


def test_without_a_database_none_is_made(client: MlflowClient, octavo: Octavo) -> None:
    Path("mlflow.db").unlink()
    assert "There is no MLflow at sqlite:" in refused(octavo)
    assert not Path("mlflow.db").exists()


def test_all_or_nothing(client: MlflowClient, octavo: Octavo) -> None:
    log(classifier())
    write("brought:\n  shared: {uri: models:/door@champion}\n  second: {uri: models:/doors@champion}")
    assert "no registered model 'doors'. Did you mean 'door'? Known: door" in refused(octavo)
    write("brought:\n  first: &same {uri: models:/door@champion}\n  second: *same")
    assert "brought.first cannot be changed as text. Write it as a mapping of its own" in refused(octavo)


def test_what_is_pinned_needs_no_server(client: MlflowClient, octavo: Octavo, monkeypatch: pytest.MonkeyPatch) -> None:
    log(classifier())
    assert octavo("pin")[0] == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(connection, "PAUSES", ())
    assert octavo("pin")[0] == 0
    assert "MLflow at http://127.0.0.1:9 cannot be used" in refused(octavo, "--update", code=3)
