"""A run's dataset leads back to what DVC tracks."""

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.data.dataset_source_registry import get_dataset_source_from_json, resolve_dataset_source
from mlflow.data.numpy_dataset import from_numpy
from mlflow.exceptions import MlflowException

from octavo.project import paths
from octavo_mlflow.tracking import dvc_outputs
from octavo_mlflow.tracking.dataset_source import DvcDatasetSource, of
from tests.octavo_mlflow.measured_project import Project

STAGES = {"stages": {"split": {"cmd": "python split.py", "deps": ["split.py"], "outs": ["data", "one.txt"]}}}
SPLIT = """
from pathlib import Path
Path("data/deep").mkdir(parents=True)
for name in "b.npy", "a.npy", "deep/c.npy", "deep.npy":
    Path("data", name).write_text(name)
Path("one.txt").write_text("1\\r\\n")
"""


def run(*command: str) -> str:
    identity = {
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@t",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@t",
    }
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(Path.cwd()), **identity}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


def dvc(*arguments: str) -> None:
    run(sys.executable, "-m", "dvc", *arguments)


def lock(outputs: dict[str, str]) -> None:
    outs = [{"path": path, "hash": "md5", "md5": md5} for path, md5 in outputs.items()]
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"split": {"cmd": "x", "outs": outs}}}))


@pytest.fixture
def tracked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose lock tracks the folder `data`, cloned from a server with a password in its URL."""
    monkeypatch.chdir(tmp_path)
    run("git", "init", "-q")
    run("git", "remote", "add", "origin", "https://me:secret@example.org/project.git")
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    remote = store\n['remote \"store\"']\n    url = s3://bucket/data\n")
    Path("data").mkdir()
    Path("data/a.npy").write_bytes(b"a")
    lock({"data": dvc_outputs.found(Path("data"))})
    run("git", "add", "dvc.lock")
    run("git", "commit", "-qm", "one")
    return tmp_path


@pytest.mark.slow
def test_dvc_tracks_the_same_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("git", "init", "-q")
    dvc("init", "-q")
    Path("split.py").write_text(SPLIT)
    Path("dvc.yaml").write_text(yaml.safe_dump(STAGES))
    dvc("repro", "-q")
    Path("added").mkdir()
    for name in "z", "ä", "a b":
        Path("added", name).write_text(name)
    dvc("add", "-q", "added")
    for path in map(Path, ("data", "one.txt", "added")):
        recorded = dvc_outputs.recorded(path)
        assert recorded == dvc_outputs.found(path)
        assert recorded is not None
        assert recorded.endswith(".dir") == path.is_dir()
    assert dvc_outputs.recorded(Path("split.py")) is None


def test_it_says_where_the_data_are_from_and_keeps_the_password(tracked: Path) -> None:
    assert of(Path("data")) == of(tracked / "data")
    source = of(Path("data"))
    assert source
    assert source.to_dict() == {
        "path": "data",
        "md5": dvc_outputs.found(Path("data")),
        "revision": run("git", "rev-parse", "HEAD"),
        "repository": "https://example.org/project.git",
        "remote": "s3://bucket/data",
    }


def test_mlflow_finds_it_and_brings_it_back(tracked: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{tracked}/mlflow.db")
    with pytest.warns(UserWarning, match="interpreted in multiple ways"):  # a local path is one of artifacts, too
        dataset = from_numpy(np.zeros(3), source="data")
    with mlflow.start_run() as active:
        mlflow.log_input(dataset)
    inputs = MlflowClient().get_run(active.info.run_id).inputs
    assert inputs
    (logged,) = inputs.dataset_inputs
    assert logged.dataset.source_type == "dvc"
    source = get_dataset_source_from_json(logged.dataset.source, logged.dataset.source_type)
    assert isinstance(source, DvcDatasetSource)
    assert source == of(Path("data"))
    assert source.load() == str(tracked / "data")


def test_only_what_is_tracked_is_resolved(tracked: Path) -> None:
    Path("other").mkdir()
    for raw in "other", "missing", "data/a.npy", "s3://bucket/data", 3, Path("dvc.lock"):
        assert not DvcDatasetSource._can_resolve(raw)
    assert not isinstance(resolve_dataset_source("other"), DvcDatasetSource)
    for content in b"<<<<<<< HEAD", b"", b"[]":
        Path("dvc.lock").write_bytes(content)
        assert of(Path("data")) is None


def test_it_loads_only_what_was_measured_and_says_how_to_get_it(tracked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = of(Path("data"))
    assert source
    commit = run("git", "rev-parse", "HEAD")
    (tracked / "deep").mkdir()
    monkeypatch.chdir("deep")
    assert source.load() == str(tracked / "data")
    Path("../data/a.npy").write_bytes(b"b")
    back = rf"clone of https://example\.org/project\.git run git checkout {commit}, then dvc checkout data, or dvc pull"
    with pytest.raises(MlflowException, match=rf"data has changed: its MD5 is .*{source.md5}.*{back}"):
        source.load()
    Path("../data/a.npy").unlink()
    Path("../data").rmdir()
    with pytest.raises(MlflowException, match=r"data is not here\..*s3://bucket/data"):
        source.load()


def test_a_registered_variant_leads_back_to_the_split_it_was_measured_on(project: Project) -> None:
    Path(".dvc").mkdir()
    digest = dvc_outputs.found(paths.split("test"))
    lock({"artifacts/data/test": digest})
    project.register()
    inputs = project.client().get_run(project.client().get_model_version("octavo", "1").run_id or "").inputs
    assert inputs
    (logged,) = inputs.dataset_inputs
    assert (logged.dataset.source_type, logged.dataset.digest) == ("dvc", "d" * 12)
    assert json.loads(logged.dataset.source)["md5"] == digest
    assert Path(mlflow.data.get_source(logged).load()) == Path.cwd() / "artifacts/data/test"
