"""The wheel, installed with each extra in a clean environment, runs what the extra promises.

Every command runs in a user's repository that has packages called `pipeline`, `stages` and `mlflow_plugins`; where
they could make a difference, also in one that has not.
"""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests import keys
from tests.end_to_end import installed
from tests.end_to_end.conftest import Install
from tests.end_to_end.installed import OWN, VARIANTS, Environment
from tests.end_to_end.project import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.end_to_end, pytest.mark.timeout(1800)]

LARGEST = 400e6
"""Bytes of the base install, with its dependencies and compiled."""
QUICK_S = 0.5
OWN_FIRST = f"import {', '.join(OWN)}; assert {{each.OWNER for each in ({', '.join(OWN)})}} == {{'user'}}"
ENTRY_POINTS = """
from importlib.metadata import distribution
found = distribution("octavo").entry_points
for each in found:
    each.load()
print(len(found))
"""
Copy = Callable[..., Path]


@pytest.fixture(scope="module")
def built(install: Install, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose models were made with everything installed."""
    project, everything = installed.new_project(tmp_path_factory.mktemp("project")), install("all")
    everything.stage(project, "prepare")
    everything.stage(project, "network", "fp32")
    for variant in VARIANTS:
        everything.stage(project, "quantize", variant)
    return project


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Copy:
    """A copy of the built project, with some of its variants only and with or without packages of our names."""

    def project(*variants: str, own: bool = True) -> Path:
        folder = tmp_path / f"project-{own}"
        shutil.copytree(built, folder)
        change(folder, variants=lambda known: {name: known[name] for name in variants or known})
        for name in () if own else OWN:
            shutil.rmtree(folder / name)
        return folder

    return project


def change(project: Path, **changes: Callable[[dict[str, object]], dict[str, object]]) -> None:
    """Change sections of `params.yaml`."""
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params |= {section: made(params[section]) for section, made in changes.items()}
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def measure(environment: Environment, project: Path, *variants: str) -> str:
    """From the test split to the report; what `octavo compare` prints."""
    for variant in variants:
        environment.stage(project, "evaluate", variant)
    environment.stage(project, "benchmark")
    environment.stage(project, "report")
    assert "<html" in (project / "reports/report.html").read_text(encoding="utf-8")
    return environment.run(project, "octavo", "compare")


def lacks(environment: Environment, project: Path, extra: str, *command: str) -> None:
    done = environment.attempt(project, *command)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"pip install 'octavo[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_the_base_install_is_small(install: Install) -> None:
    size = sum(file.lstat().st_size for file in install().folder.rglob("*") if not file.is_symlink())
    assert size <= LARGEST, f"{size / 1e6:.0f} MB"


def test_help_is_quick_and_lists_every_command(install: Install, tmp_path: Path) -> None:
    environment, seconds = install(), []
    for _ in range(5):
        start = time.perf_counter()
        said = environment.run(tmp_path, "octavo", "--help")
        seconds.append(time.perf_counter() - start)
    assert {"compare", "promote", "status"} <= set(said.split())
    assert min(seconds) < QUICK_S


@pytest.mark.parametrize("own", [True, False])
def test_the_base_install_goes_from_a_network_to_a_report(install: Install, copy: Copy, own: bool) -> None:
    environment, variants = install(), ("onnx_fp32", "onnx_int8_static")
    project = copy(*variants, own=own)
    before = {name: (project / f"artifacts/models/{name}/model.onnx").read_bytes() for name in variants}
    shutil.rmtree(project / "artifacts/models")
    environment.stage(project, "prepare")
    for variant in variants:
        environment.stage(project, "quantize", variant)
        assert (project / f"artifacts/models/{variant}/model.onnx").read_bytes() == before[variant]
    assert set(variants) <= set(measure(environment, project, *variants).split())
    if own:
        environment.run(project, "python", "-c", OWN_FIRST)


def test_what_the_base_install_lacks_is_said_in_a_sentence(install: Install, copy: Copy) -> None:
    environment, project = install(), copy()
    for command in ("status", "promote", "nightly", "sign", "schedule"):
        lacks(environment, project, "mlflow", "octavo", command)
    for stage in (["network", "fp32"], ["finetune", "qat"]):
        lacks(environment, project, "train", "python", "-m", f"octavo_stages.{stage[0]}", *stage[1:])
    for stage in (["quantize", "litert_int8_dynamic"], ["evaluate", "litert_int8_dynamic"], ["benchmark"]):
        lacks(environment, project, "litert", "python", "-m", f"octavo_stages.{stage[0]}", *stage[1:])
    change(project, data=lambda data: data | {"source": "digits", "path": "data"})
    lacks(environment, project, "digits", "python", "-m", "octavo_stages.prepare")


def test_litert_files_are_made_and_measured(install: Install, copy: Copy) -> None:
    environment, project = install("litert"), copy()
    assert environment.attempt(project, "python", "-c", "import tensorflow").returncode
    model = project / "artifacts/models/litert_int8_dynamic/model.tflite"
    before = model.read_bytes()
    model.unlink()
    environment.stage(project, "quantize", "litert_int8_dynamic")
    assert model.read_bytes() == before
    assert set(VARIANTS) <= set(measure(environment, project, *VARIANTS).split())
    converted = "litert_fp32_tensorflow"
    change(project, variants=lambda made: made | {converted: {"source": "fp32", "recipe": converted}})
    lacks(install("litert"), project, "train", "python", "-m", "octavo_stages.quantize", converted)


def test_one_command_makes_litert_files_where_litert_is_installed(install: Install, copy: Copy) -> None:
    project = copy()
    command = ("octavo", "quantize", "artifacts/exported/fp32/model.onnx", "--data", "images.npz", "--seconds", "0")
    base = json.loads(install().run(project, *command, "--json", "--out", "base"))
    assert base["left_out"]["litert_int8_static"] == "LiteRT is not installed. Run: pip install 'octavo[litert]'"
    assert {each["variant"].partition("_")[0] for each in base["variants"]} == {"onnx"}
    lacks(install(), project, "litert", *command, "--format", "litert")
    both = json.loads(install("litert").run(project, *command, "--json", "--out", "both"))
    made = {each["variant"] for each in both["variants"]}
    assert {"litert_fp32", "litert_int8_static", "onnx_int8_static"} <= made
    assert install("litert").run(project, "python", "both/litert_int8_static/run.py").startswith("0 ")
    for name in ("onnx_fp32", "onnx_int8_static"):
        files = [project / folder / name / "model.onnx" for folder in ("base", "both")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_digits_need_no_download(install: Install, copy: Copy) -> None:
    project = copy()
    change(project, data=lambda data: data | {"source": "digits", "path": "data"})
    install("digits").stage(project, "prepare")


def test_networks_are_trained_and_exported(install: Install, copy: Copy) -> None:
    project = copy("onnx_fp32", "onnx_int8_static")
    shutil.rmtree(project / "artifacts/networks")
    environment = install("train")
    environment.stage(project, "network", "fp32")
    environment.stage(project, "quantize", "onnx_int8_static")


def test_models_are_registered_promoted_and_signed(install: Install, copy: Copy, tmp_path: Path) -> None:
    environment, variants = install("mlflow"), ("onnx_fp32", "onnx_int8_static")
    project = copy(*variants)
    quiet = environment.attempt(project, "python", "-W", "error::ImportWarning", "-c", "import mlflow")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    measure(environment, project, *variants)
    environment.stage(project, "register")
    environment.run(project, "octavo", "promote", "onnx_int8_static", "--force", "--reason", "a test")
    assert "onnx_int8_static" in environment.run(project, "octavo", "status")
    environment.run(project, "octavo", "audit")
    environment.run(project, "python", "-c", OWN_FIRST)
    lacks(environment, project, "dvc", "octavo", "nightly")
    lacks(environment, project, "signing", "octavo", "sign")
    pair, signing = keys.make(tmp_path, "signing"), install("mlflow,signing")
    signing.run(project, "octavo", "sign", "--key", str(pair.private))
    signing.run(project, "octavo", "verify", "--key", str(pair.public))


def test_dvc_runs_stages(install: Install, copy: Copy) -> None:
    environment, project = install("dvc"), copy("onnx_fp32", "onnx_int8_static")
    environment.run(project, "dvc", "init", "--no-scm", "--quiet")
    assert "Running stage 'prepare'" in environment.run(project, "dvc", "repro", "prepare")
    assert "Stage 'prepare' didn't change" in environment.run(project, "dvc", "repro", "prepare")


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_everything_runs_in_a_repository_with_packages_of_our_names(
    install: Install, tmp_path: Path, python: str
) -> None:
    project, environment = installed.new_project(tmp_path), install("all", python)
    assert int(environment.run(project, "python", "-c", ENTRY_POINTS).splitlines()[-1]) > 20
    environment.run(project, "dvc", "init", "--no-scm", "--quiet")
    environment.run(project, "dvc", "repro")
    assert set(VARIANTS) <= set(environment.run(project, "octavo", "compare").split())
    environment.run(project, "octavo", "promote", "onnx_int8_static", "--force", "--reason", "a test")
    assert "onnx_int8_static" in environment.run(project, "octavo", "status")
    environment.run(project, "python", "-c", OWN_FIRST)


def test_on_python_3_14_the_base_install_resolves_from_wheels() -> None:
    """Resolved, not run."""
    options = ["--python-version", "3.14", "--only-binary", ":all:", "--no-header", "--no-annotate"]
    done = installed.uv("pip", "compile", "--quiet", *options, str(ROOT / "pyproject.toml"))
    assert done.returncode == 0, done.stderr
    assert "onnxruntime==" in done.stdout
