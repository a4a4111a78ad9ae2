"""`octavo init` makes a folder of any git repository a project, and overwrites nothing."""

import errno
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from octavo.brought import trial
from octavo.data import prepare
from octavo.data.sources import npz
from octavo.project.errors import OctavoError
from octavo.project.params.params import load_params
from octavo.project.setting_up import shipped
from tests.architecture.source_tree import ROOT
from tests.octavo.project.setting_up.conftest import Run, files, images

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


def arrays(path: Path, n: int = 100, shape: tuple[int, ...] = (8, 8), dtype: str = "uint8") -> Path:
    """An archive of images, no two alike, in five classes."""
    values = np.arange(n)[:, None] * np.ones(int(np.prod(shape)))
    np.savez(path, images=values.reshape(n, *shape).astype(dtype), labels=np.arange(n) % 5)
    return path


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
    np.savez(with_dvc / "wrong.npz", x=np.zeros(3))
    arrays(with_dvc / "mine.npz")
    (with_dvc / "my_nets.py").write_text("def build(shape, classes): ...\n")
    done = run(
        "init", "models/door", typed="nowhere\nwrong.npz\nmine.npz\nsmal_cnn\nmy_nets:build\nonnx\nno/slash\nfront\n"
    )
    assert done.exit_code == 0, done.output
    assert "there is no such file" in done.stderr
    assert "wrong.npz has no x_train" in done.stderr
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
    images(with_dvc / "pictures", (8, 8), each=20)
    (with_dvc / "deep").mkdir()
    monkeypatch.chdir(with_dvc / "deep")
    assert run("init", "--yes", "--data", "../pictures").exit_code == 0
    params = load_params()
    assert (params.data.source, params.data.path) == ("images", Path("../pictures"))
    assert params.data.image_size is None


def test_data_outside_the_repository_have_their_whole_path(with_dvc: Path, run: Run, tmp_path: Path) -> None:
    outside = images(tmp_path / "out side", (8, 8), (20, 10), (300, 500), each=8)
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


def damaged(path: Path) -> Path:
    path.write_bytes(arrays(path).read_bytes()[:-200])
    return path


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda path: np.savez(path, x=np.zeros((9, 8, 8)), y=np.zeros(9)), r"has no x_train, .* \(it has x, y\)"),
        (lambda path: np.savez(path, x=np.zeros((9, 8, 8)), y=np.zeros(9)), "or x_train, y_train or images, labels;"),
        (lambda path: np.savez(path, images=np.zeros((9, 8, 8))), "has no x_train"),
        (damaged, "is cut short or not an npz archive"),
        (lambda path: path.write_bytes(b"no"), "is cut short or not an npz archive"),
        (lambda path: arrays(path, 6), "too few different images to be split"),
        (lambda path: arrays(path, dtype="int32"), "Images of train are int32"),
        (lambda path: arrays(path, shape=(1,) * 6), "Images of train have shape"),
    ],
)
def test_data_that_prepare_would_refuse_write_nothing(
    with_dvc: Path, run: Run, content: Callable[[Path], object], told: str
) -> None:
    content(with_dvc / "mine.npz")
    before = files(with_dvc)
    assert re.search(told, refused(run, "--yes", "--data", "mine.npz"))
    assert files(with_dvc) == before


def test_calibration_is_at_most_the_images_of_train(with_dvc: Path, run: Run) -> None:
    arrays(with_dvc / "mine.npz")
    assert run("init", "--yes", "--data", "mine.npz").exit_code == 0
    data = load_params().data
    assert data.calibration < 100
    assert prepare.prepare(data, with_dvc / "made").splits["train"].n == data.calibration


def test_large_data_are_tried_by_some_examples(with_dvc: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "SMALL", 1000)
    monkeypatch.setattr(trial, "MOST", 10)
    images(with_dvc / "pictures", (8, 8), each=40)
    (with_dvc / "pictures/class0/2.png").write_bytes(b"damaged")
    assert run("init", "a", "--yes", "--data", "pictures").exit_code == 0
    arrays(with_dvc / "mine.npz")
    assert run("init", "b", "--yes", "--data", "mine.npz").exit_code == 0
    assert load_params(Path("b/params.yaml")).data.calibration == 500
    arrays(with_dvc / "mine.npz", dtype="int64")
    assert "Images of train are int64" in refused(run, "c", "--yes", "--data", "mine.npz")


@pytest.mark.parametrize(
    ("option", "content", "told"),
    [
        ("--data", None, "Generator 'mine.sub:run': there is no module 'mine.sub' in "),
        ("--model", None, "Network 'mine.sub:run': there is no module 'mine.sub' in "),
        ("--data", "def runs(path): ...", "'run' is not in .*sub.py. Did you mean 'runs'? Known: runs."),
        (
            "--model",
            "import keras\ndef runs(a, b):\n    run = a\n",
            "'run' is not in .*. Did you mean 'runs'? Known: runs.",
        ),
        ("--model", "def run(:", "cannot be read as Python"),
    ],
)
def test_a_function_that_does_not_exist_writes_nothing(
    with_dvc: Path, run: Run, option: str, content: str | None, told: str
) -> None:
    (with_dvc / "src/mine").mkdir(parents=True)
    if content is not None:
        (with_dvc / "src/mine/sub.py").write_text(content)
    before = files(with_dvc)
    assert re.search(told.replace("?", r"\?"), refused(run, "--yes", option, "mine.sub:run"))
    assert files(with_dvc) == before


def test_a_generator_is_a_source(with_dvc: Path, run: Run) -> None:
    (with_dvc / "mine.py").write_text("from elsewhere import run\n")
    assert run("init", "models/a", "--yes", "--data", "mine:run").exit_code == 0
    data = load_params(Path("models/a/params.yaml")).data
    assert (data.source, data.generator, data.path) == ("generator", "mine:run", Path("data"))


def test_without_git_it_says_so(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Run git init" in refused(run, "--yes")
    assert files(tmp_path) == {}


def test_a_repository_that_git_does_not_open_is_told_apart_from_none(repository: Path, run: Run) -> None:
    (repository / ".git/HEAD").write_text("damaged")
    assert f"Git does not open the repository {repository}" in refused(run, "--yes")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--data", "/dev/zero"], "Data '/dev/zero': no source reads it"),
        (["--data", "closed"], "Data 'closed' cannot be read: Permission denied"),
        ([".git/x"], ".git/x is inside .git, which belongs to git"),
        (["a"], "a/.gitignore cannot be read: Is a directory. Nothing was written"),
    ],
)
def test_odd_files_and_folders_write_nothing(
    with_dvc: Path, run: Run, arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (with_dvc / "a/.gitignore").mkdir(parents=True)
    (with_dvc / "closed").mkdir()
    listed = Path.iterdir

    def denied(path: Path) -> Iterator[Path]:
        if path.name == "closed":  # root may read everything
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", denied)
    before = files(with_dvc)
    assert told in refused(run, *arguments, "--yes")
    assert files(with_dvc) == before


def test_a_read_only_folder_writes_nothing(with_dvc: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != with_dvc)  # root may write everywhere
    assert "is read-only for you. Nothing was written" in refused(run, "--yes")
    assert files(with_dvc) == {}


@pytest.mark.parametrize("folder", ["models/Türöffner 2", "モデル/玄関"])
def test_names_may_have_spaces_and_letters_of_any_language(with_dvc: Path, run: Run, folder: str) -> None:
    images(with_dvc / "schöne Bilder", (8, 8), each=20)
    done = run("init", folder, "--yes", "--data", "schöne Bilder")
    assert done.exit_code == 0, done.exception
    params = load_params(Path(folder, "params.yaml"))
    assert (params.registry.model, params.data.path) == (Path(folder).name, Path("../../schöne Bilder"))
    assert str(Path(folder, "dvc.yaml")) + " exists" in refused(run, folder, "--yes")


def test_the_end_of_the_input_writes_nothing(with_dvc: Path, run: Run) -> None:
    assert "octavo init --yes" in refused(run, typed="digits\n")
    assert files(with_dvc) == {}


def test_a_write_that_fails_leaves_no_half_a_project(with_dvc: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (with_dvc / ".dvc.yaml.part").mkdir()  # the write of dvc.yaml begins there
    assert isinstance(run("init", "--yes").exception, OSError)
    assert not (with_dvc / "params.yaml").exists()
