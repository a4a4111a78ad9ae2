"""Answers on a CPU without VNNI are those of this one, bit for bit: with the real runtime, on an emulated Haswell."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from octavo.backends.onnxruntime import integer_weights
from octavo.backends.registry import open_model
from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize
from octavo.quantization import recipes
from octavo_mlflow.flavors import onnx as flavor
from tests.octavo import integer_layers
from tests.octavo.integer_layers import IMAGES, SHARINGS, two_layers

pytestmark = [pytest.mark.slow, pytest.mark.emulator, pytest.mark.timeout(1800)]

EMULATOR, OLDEST, CPU = "qemu-x86_64", 8, "Haswell-v4"
ROOT = Path(__file__).parents[2]
ROUNDING = 1e-5
"""Of logits, which are float: other instruction sets multiply and add in other steps. What is cut off is far more."""
FEW = 50
"""Images that an emulated CPU answers in seconds."""
EXAMPLES = int(os.environ.get("OCTAVO_EXAMPLES", "40"))
NETWORKS = ("small_cnn", "cnn4", "depthwise_cnn", "resnet8")
SOURCES = {"onnx_int8_static": "fp32", "onnx_int8_qat": "qat", "onnx_int8_dynamic": "fp32"}
"""Recipe -> the network that it starts from."""
ELSEWHERE = """
import sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
import mlflow, numpy
numpy.save("answers.npy", mlflow.pyfunc.load_model("saved").predict(numpy.load("images.npy")))
print(sys.modules["octavo_mlflow.flavors.exact_sums"].__file__, "pipeline" in sys.modules)
"""
Emulate = Callable[..., str]
Answers = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def emulate() -> Emulate:
    """Runs this Python with arguments, in a folder, on the emulated CPU; what it prints."""
    program = shutil.which(EMULATOR)
    if program is None:
        pytest.skip(f"{EMULATOR} is not installed (the package qemu-user of Debian 13 or Ubuntu 24.04)")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    found = re.search(r"version (\d+)", version)
    if found is None or int(found[1]) < OLDEST:
        pytest.skip(f"{EMULATOR} must be {OLDEST} or later to run onnxruntime; here is {version}")

    def run(*arguments: str | Path, cwd: Path = ROOT) -> str:
        command = [program, "-cpu", CPU, sys.executable, *arguments]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def answers(emulate: Emulate, *folders: Path) -> dict[Path, Answers]:
    """By model file: the logits there of Octavo's runtime, and of onnxruntime alone, for the folder's `images.npy`."""
    emulate("-m", "tests.emulated", *folders)
    paths = [path for folder in folders for path in sorted(folder.glob("*.onnx"))]
    found = {path: dict(np.load(path.with_suffix(".npz"))) for path in paths}
    assert all(each["cut_off"] for each in found.values())
    return found


def here(path: Path) -> np.ndarray:
    return open_model(path)(np.load(path.with_name("images.npy")))


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_answer_alike(
    network: str,
    emulate: Emulate,
    train_network: Callable[..., Path],
    samples: Samples,
    images: np.ndarray,
    tmp_path: Path,
) -> None:
    """And onnxruntime alone gives other answers there, else this test could not tell."""
    exported = train_network(network)
    np.save(tmp_path / "images.npy", images[:FEW])
    for recipe, source in SOURCES.items():
        recipes.quantize(recipe, exported / source, tmp_path / f"{recipe}.onnx", samples, {})
    found = answers(emulate, tmp_path)
    assert len(found) == len(SOURCES)
    for path, there in found.items():
        np.testing.assert_allclose(there["octavo"], here(path), rtol=ROUNDING, atol=ROUNDING)
    static = found[tmp_path / "onnx_int8_static.onnx"]
    assert not np.array_equal(static["alone"], static["octavo"])


def test_layers_that_share_weights_load_and_answer_alike(emulate: Emulate, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    for shared, names in SHARINGS.items():
        onnx.save(two_layers(names), tmp_path / f"{shared}.onnx")
    for path, there in answers(emulate, tmp_path).items():
        np.testing.assert_array_equal(there["octavo"], here(path))
        assert not np.array_equal(there["alone"], there["octavo"])


def test_a_registered_model_answers_alike_where_octavo_is_not_installed(emulate: Emulate, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    canonicalize.save(two_layers(SHARINGS["weights"]), path)
    flavor.save_model(path, tmp_path / "saved")
    np.save(tmp_path / "images.npy", IMAGES)
    code, has_octavo = emulate("-c", ELSEWHERE, cwd=tmp_path).split()[-2:]
    assert Path(code).is_relative_to(tmp_path)
    assert has_octavo == "False"
    np.testing.assert_array_equal(np.load(tmp_path / "answers.npy"), here(path))


def test_neighbours_are_cut_off_and_no_others(emulate: Emulate, tmp_path: Path) -> None:
    """In layers of all kinds: with small neighbours among large weights, and with large neighbours."""
    random = np.random.default_rng(0)
    for place in range(EXAMPLES):
        layer, images = integer_layers.drawn(random, small_neighbours=bool(place % 2))
        folder = tmp_path / str(place)
        folder.mkdir()
        onnx.save(layer, folder / "model.onnx")
        np.save(folder / "images.npy", images)
    for path, there in answers(emulate, *(tmp_path / str(place) for place in range(EXAMPLES))).items():
        possible = integer_weights.can_be_cut_off(onnx.load(path), in_float=False)
        np.testing.assert_array_equal(there["octavo"], here(path))
        assert np.array_equal(there["alone"], there["octavo"]) is not possible, path
