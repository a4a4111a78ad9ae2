"""The stage as DVC runs it: in the project's root, a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from octavo.data.splits import load_manifest, load_split
from octavo.project import paths
from octavo_stages import prepare

ROOT = Path(__file__).parents[2]
PARAMS = ROOT / "params.yaml"


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

    manifest = load_manifest(paths.MANIFEST)
    for name, record in manifest.splits.items():
        assert len(load_split(paths.split(name)).labels) == record.n
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
    assert not paths.ARTIFACTS.exists()


def test_what_became_of_a_folder_is_said_and_recorded(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(project / "pets", 60)
    for number in range(60):
        path = project / "pets" / ("cat" if number % 2 else "dog") / f"{number}.png"
        Image.open(path).save(path.with_suffix(".bmp"))
    for number in range(5):
        (project / "pets" / "cat" / f"{number}.heic").write_bytes(b"not opened")
    Image.new("RGB", (6, 6), "red").save(project / "pets" / "dog" / "red.png")
    write_params(project, source="images", path="pets", calibration=8)
    prepare.main()

    said, manifest = capsys.readouterr().err, load_manifest(paths.MANIFEST)
    dropped = manifest.duplicates.dropped
    assert "5 files left out (.heic): cat/0.heic, cat/1.heic, cat/2.heic and 2 more\n" in said
    assert f"{manifest.changed['grey converted to RGB, because others are in colour']} images: grey converted" in said
    assert f"{dropped['train']} images removed from train: selection or test has the same pixels" in said
    assert manifest.changed == {"grey converted to RGB, because others are in colour": 120}
    assert sum(manifest.splits[name].n for name in ("train", "selection", "test")) + sum(dropped.values()) == 121
    assert (manifest.split_rule, manifest.test_share) == (2, 0.2)

    write_params(project, source="images", path="pets", calibration=8, duplicates="allow")
    prepare.main()
    assert "images are in both of train/test" in capsys.readouterr().err


def test_a_path_that_the_source_does_not_read_is_a_mistake(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_params(project, source="digits", path="flowers")
    with pytest.raises(SystemExit):
        prepare.main()
    assert (
        "source 'digits' reads no path, got 'flowers'. Set path to 'data', or use one of npz, npy, images, csv, parquet"
        in capsys.readouterr().err
    )

    write_params(project, source="digits", path="data")
    prepare.main()


@pytest.mark.slow
def test_the_stage_starts_without_heavy_libraries(project: Path) -> None:
    write_params(project, source="digits")
    heavy = {"tensorflow", "tf_keras", "onnxruntime", "mlflow", "dvc"}
    program = (
        f"import sys; from octavo_stages import prepare; prepare.main(); sys.exit(str(sys.modules.keys() & {heavy}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(PARAMS.parent)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr.splitlines()[-1] == "set()"


class Repository:
    """A folder with git and DVC."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
        self.run("git", "init", "--quiet")

    def run(self, *command: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", "test")

    def repro(self) -> int | None:
        """How many images there are where `prepare` ran, None where DVC found nothing to do."""
        return self.images() if "Running stage 'prepare'" in self.run("dvc", "repro", "prepare") else None

    def images(self) -> int:
        manifest = load_manifest(self.folder / paths.MANIFEST)
        return sum(manifest.splits[name].n for name in ("train", "selection", "test"))


def draw(folder: Path, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 6)).astype(np.uint8)
        path = folder / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


@pytest.fixture
def checkout(tmp_path: Path) -> Repository:
    """A project of its own, with images as its data and what DVC needs to run `prepare`."""
    made = Repository(tmp_path / "project")
    for name in ("pipeline", "stages", "data"):
        shutil.copytree(ROOT / name, made.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, made.folder)
    write_params(made.folder, source="images", path="data/pets", calibration=8)
    return made


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_image_added_to_the_folder_runs_prepare_and_nothing_else_does(checkout: Repository) -> None:
    for start, count in ((0, 30), (30, 1)):
        draw(checkout.folder / "data/pets", count, start)
        assert checkout.repro() == start + count
    assert checkout.repro() is None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_imported_folder_runs_prepare_as_it_is_updated(checkout: Repository, tmp_path: Path) -> None:
    registry = Repository(tmp_path / "registry")
    fetch = ["dvc", "import", str(registry.folder), "pets", "--out", "data/pets"]
    for start, count in ((0, 30), (30, 1)):
        draw(registry.folder / "pets", count, start)
        registry.run("dvc", "add", "pets")
        registry.commit()
        checkout.run(*fetch)
        assert checkout.repro() == start + count
        fetch = ["dvc", "update", "data/pets.dvc"]
    assert checkout.repro() is None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_archive_named_in_an_experiment_runs_prepare_as_it_changes(checkout: Repository) -> None:
    write_params(checkout.folder, source="digits", path="data", calibration=8)
    checkout.commit()
    for count in (40, 41):
        images = np.random.default_rng(0).integers(0, 256, (count + 9, 5, 5)).astype(np.uint8)
        labels = np.arange(count + 9) % 2
        np.savez(
            checkout.folder / "own.npz",
            x_train=images[:count],
            y_train=labels[:count],
            x_test=images[count:],
            y_test=labels[count:],
        )
        checkout.run("dvc", "exp", "run", "-S", "data.source=npz", "-S", "data.path=own.npz", "prepare")
        assert checkout.images() == count + 9
    assert checkout.repro() is None
