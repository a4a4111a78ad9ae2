"""`octavo init` makes a folder of any git repository a project, and overwrites nothing."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from octavo.project.errors import OctavoError
from octavo.project.params.params import load_params
from octavo.project.setting_up import shipped
from tests.architecture.source_tree import ROOT
from tests.octavo.project.setting_up.conftest import Run, files

WRITTEN = {
    ".dvc/plots/curves.json",
    ".dvc/plots/tradeoff.json",
    ".dvcignore",
    ".gitignore",
    "data/.gitkeep",
    "dvc.yaml",
    "params.yaml",
}


def refused(run: Run, *arguments: str, typed: str = "") -> str:
    done = run("init", *arguments, typed=typed)
    assert isinstance(done.exception, OctavoError), done
    assert done.exception.exit_code == 1
    return str(done.exception)


def images(folder: Path, *sizes: tuple[int, int]) -> Path:
    """An image of each size, in class folders."""
    for number, size in enumerate(sizes):
        (folder / f"class{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.new("L", size).save(folder / f"class{number % 2}" / f"{number}.png")
    return folder


def test_what_is_shipped_is_what_this_repository_has() -> None:
    assert shipped.text("pipeline.yaml") == (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    for name in shipped.PLOTS:
        assert shipped.text(name) == (ROOT / ".dvc/plots" / name).read_text(encoding="utf-8")
    named = {path.stem for path in (ROOT / ".dvc/plots").iterdir()}
    assert {Path(name).stem for name in shipped.PLOTS} == named


def test_the_defaults_are_those_of_this_repository(with_dvc: Path, run: Run) -> None:
    assert run("init", "--yes", "--name", "octavo").exit_code == 0
    assert yaml.safe_load((with_dvc / "params.yaml").read_text()) == yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.mark.slow
def test_an_empty_repository_gets_all_that_dvc_repro_needs(repository: Path, run: Run) -> None:
    done = run("init", "--yes")
    assert done.exit_code == 0, done.output
    assert "dvc repro" in done.stdout
    assert (
        files(repository).keys()
        - {".dvc/.gitignore", ".dvc/config"}
        - {name for name in files(repository) if name.startswith(".dvc/tmp/")}
        == WRITTEN
    )
    assert load_params().registry.model == "my cameras"
    assert (repository / ".dvc/config").read_text() == (ROOT / ".dvc/config").read_text()


def test_the_first_commit_is_told_only_while_there_is_none(
    repository: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / ".dvc").mkdir()
    *_, commit, go, build, look, promote = run("init", "models/my door", "--yes").stdout.splitlines()
    assert [each.split()[0:2] for each in (go, build, look, promote)] == [
        ["cd", "'models/my"], ["dvc", "repro"], ["octavo", "compare"], ["octavo", "promote"],
    ]  # fmt: skip
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.org")
    subprocess.run(["bash", "-ec", commit], check=True, capture_output=True)
    assert subprocess.run(["git", "status", "--short"], check=True, capture_output=True).stdout == b""
    assert "git " not in run("init", "models/window", "--yes").stdout


def test_the_users_own_lines_stay(with_dvc: Path, run: Run) -> None:
    (with_dvc / ".gitignore").write_bytes(b"/secret\n/mlruns/\n\xff")
    assert run("init", "--yes").exit_code == 0
    lines = (with_dvc / ".gitignore").read_bytes().splitlines()
    assert lines[:3] == [b"/secret", b"/mlruns/", b"\xff"]
    assert lines.count(b"/mlruns/") == 1
    assert b"/artifacts/" in lines


def test_answers_are_asked_for_and_asked_again(with_dvc: Path, run: Run) -> None:
    np.savez(with_dvc / "mine.npz", x=np.zeros(3))
    done = run("init", "models/door", typed="nowhere\nmine.npz\nsmal_cnn\nmy_nets:build\nonnx\nno/slash\nfront\n")
    assert done.exit_code == 0, done.output
    assert "there is no such file" in done.stderr
    assert "Did you mean 'small_cnn'?" in done.stderr
    params = load_params(Path("models/door/params.yaml"))
    assert (params.data.source, params.data.path) == ("npz", Path("../../mine.npz"))
    assert params.networks["fp32"].build == "my_nets:build"
    assert {name.partition("_")[0] for name in params.variants} == {"onnx"}
    assert params.registry.model == "front"
    assert "cd models/door" in done.stdout


def test_two_models_share_the_root(with_dvc: Path, run: Run) -> None:
    for name in ("door", "window"):
        assert run("init", f"models/{name}", "--yes").exit_code == 0
    assert {"models/door/dvc.yaml", "models/window/dvc.yaml", "models/window/params.yaml"} <= files(with_dvc).keys()
    assert not (with_dvc / "models/door/.dvc").exists()
    assert (with_dvc / ".gitignore").read_text().count("mlflow.db") == 1
    assert "belongs to models/door/params.yaml" in refused(run, "attic", "--yes", "--name", "door")
    assert not (with_dvc / "attic").exists()


def test_from_a_subfolder_paths_are_the_users(with_dvc: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    images(with_dvc / "pictures", (8, 8), (8, 8))
    (with_dvc / "deep").mkdir()
    monkeypatch.chdir(with_dvc / "deep")
    assert run("init", "--yes", "--data", "../pictures").exit_code == 0
    params = load_params()
    assert (params.data.source, params.data.path) == ("images", Path("../pictures"))
    assert params.data.image_size is None


def test_data_outside_the_repository_have_their_whole_path(with_dvc: Path, run: Run, tmp_path: Path) -> None:
    outside = images(tmp_path / "out side", (8, 8), (20, 10), (300, 500))
    assert run("init", "--yes", "--data", str(outside)).exit_code == 0
    assert load_params().data.path == outside
    assert load_params().data.image_size == (10, 20)


@pytest.mark.parametrize("name", ["dvc.yaml", "params.yaml", "artifacts", "reports"])
def test_nothing_is_overwritten(with_dvc: Path, run: Run, name: str) -> None:
    if "." in name:
        (with_dvc / name).symlink_to("nowhere")
    else:
        (with_dvc / name).mkdir()
    before = files(with_dvc)
    said = refused(run, "--yes")
    assert said.startswith(f"{name} exists")
    assert "octavo init models/mine" in said
    assert files(with_dvc) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--data", "nowhere"], "Data 'nowhere': there is no such file or folder"),
        (["--data", "digit"], "Did you mean 'digits'?"),
        (["--data", "empty"], "Data 'empty': no source reads it. Allowed: digits"),
        (["--data", "readme.txt"], "Data 'readme.txt': no source reads it"),
        (["--model", "resnet"], "Unknown network 'resnet'. Did you mean 'resnet8'? Known: small_cnn"),
        (["--model", "a.b:"], "Unknown network 'a.b:'"),
        (["--name", "a/b"], "without / : and '"),
        (["readme.txt/deeper"], "readme.txt is a file, and a project is a folder"),
    ],
)
def test_a_wrong_answer_writes_nothing(with_dvc: Path, run: Run, arguments: list[str], told: str) -> None:
    (with_dvc / "empty").mkdir()
    (with_dvc / "readme.txt").touch()
    before = files(with_dvc)
    assert told in refused(run, *arguments, "--yes")
    assert files(with_dvc) == before


def test_without_git_it_says_so(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Run git init" in refused(run, "--yes")
    assert files(tmp_path) == {}


def test_the_end_of_the_input_writes_nothing(with_dvc: Path, run: Run) -> None:
    assert "octavo init --yes" in refused(run, typed="digits\n")
    assert files(with_dvc) == {}


def test_a_write_that_fails_leaves_no_half_a_project(with_dvc: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (with_dvc / ".dvc.yaml.part").mkdir()  # the write of dvc.yaml begins there
    assert isinstance(run("init", "--yes").exception, OSError)
    assert not (with_dvc / "params.yaml").exists()
