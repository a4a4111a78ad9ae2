"""Octavo's wheel in clean virtual environments, and projects of users who have nothing but that."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from sklearn.datasets import load_digits

from tests.end_to_end.project import ROOT

UV = str(Path(sys.executable).with_name("uv"))
OWN = ("pipeline", "stages", "mlflow_plugins")
"""What Octavo's source roots are called, and a user's own packages may be."""
VARIANTS = ("onnx_fp32", "onnx_int8_static", "litert_int8_dynamic")


@dataclass(frozen=True)
class Environment:
    """A virtual environment with Octavo in it."""

    folder: Path

    def attempt(self, project: Path, *command: str) -> subprocess.CompletedProcess[str]:
        """Run `command` in the project's folder with this environment first in PATH, and nothing of ours."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
        variables["PATH"] = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, check=False)

    def run(self, project: Path, *command: str) -> str:
        """What `command` prints to stdout."""
        done = self.attempt(project, *command)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def stage(self, project: Path, name: str, *arguments: str) -> str:
        return self.run(project, "python", "-m", f"octavo_stages.{name}", *arguments)


def copy_files(part: str, folder: Path) -> Path:
    """Copy the files of a part of this checkout that git has or `git add .` would take. Returns the copied part."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", part]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder / part


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout, built from a copy."""
    copy_files(".", folder)
    build = [UV, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    (wheel,) = folder.glob("dist/*.whl")
    return wheel


def install(wheel: Path, folder: Path, extras: str = "", python: str = "") -> Environment:
    """A new environment with `octavo[extras]` and nothing else, of the versions in `requirements.lock`."""
    made = uv("venv", "--quiet", "--python", python or sys.executable, str(folder))
    if made.returncode:
        pytest.skip(f"there is no Python {python}: {made.stderr.strip()}")
    pins = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(str(Requirement(pin.split(" --hash")[0])) for pin in pins if pin.strip()))
    wanted = f"octavo{f'[{extras}]' if extras else ''} @ {wheel.as_uri()}"
    compiled = [] if extras else ["--compile-bytecode"]  # whose size is a promise
    done = uv(
        "pip", "install", "--quiet", *compiled, "--python", str(folder / "bin/python"),
        "--constraint", str(constraints), wanted,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Environment(folder)


def uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([UV, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)


def new_project(folder: Path) -> Path:
    """A user's repository: an archive of images, params with little training, `dvc.yaml`, packages of our names."""
    bunch = load_digits()
    images = np.kron(bunch.images * (255 / 16), np.ones((3, 3))).astype(np.uint8)
    split = {
        "x_train": images[:1500],
        "y_train": bunch.target[:1500],
        "x_test": images[1500:],
        "y_test": bunch.target[1500:],
    }
    np.savez(folder / "images.npz", **split)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= {"source": "npz", "path": "images.npz"}
    params["networks"]["fp32"] |= {"epochs": 4}
    params["benchmark"] |= {"rounds": 10}
    params["variants"] = {name: params["variants"][name] for name in VARIANTS}
    params["variants"]["onnx_int8_static"].pop("options")
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    shutil.copy(ROOT / "dvc.yaml", folder)
    for name in OWN:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text('OWNER = "user"\n', encoding="utf-8")
    return folder
