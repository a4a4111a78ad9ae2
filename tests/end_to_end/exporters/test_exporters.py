"""Files by the real exporters of PyTorch, Brevitas and scikit-learn, made in an environment of their own."""

import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.utils import extract_model
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from octavo.backends.registry import open_model
from octavo.data.splits import Samples, Split
from octavo.evaluation import integer_coverage
from octavo.onnx_graph.foreign import bringing
from octavo.project.errors import ModelError
from octavo.quantization import recipes
from tests.octavo.onnx_graph.foreign.quantized import proof

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.end_to_end, pytest.mark.timeout(3600)]

HERE = Path(__file__).parent
TORCH = ("torch==2.13.0", "onnxscript==0.7.2", "onnx==1.23.2", "numpy==2.4.6")
LEARNED = ("torchao==0.18.0", "brevitas==0.13.4", "onnxoptimizer==0.4.2")
SKLEARN = ("skl2onnx==1.20.0", "scikit-learn==1.9.1", "onnx==1.23.2", "numpy==2.4.6")
"""Versions that work together."""
NETWORKS = ("residual", "chains", "mixed", "dense")
FIXED = "is written for batches of 1, and does not work with others. Export it with a free batch."


def made(script: str, packages: tuple[str, ...], factory: pytest.TempPathFactory) -> Path:
    """The folder that a script of this folder fills, in a new environment with these packages."""
    folder, environment = factory.mktemp(script), factory.mktemp("environment")
    venv.create(environment, with_pip=True)
    python = str(environment / "bin/python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{packages[0]} cannot be downloaded: {done.stderr.strip().splitlines()[-1]}")
    done = subprocess.run(
        [python, str(HERE / f"{script}.py"), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("torch_float", TORCH, tmp_path_factory)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("torch_learned", (*TORCH, *LEARNED), tmp_path_factory)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("sklearn_dense", SKLEARN, tmp_path_factory)


def outputs(path: Path, images: np.ndarray, size: int = 0) -> np.ndarray:
    """As onnxruntime computes them by default, in batches of `size`."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    parts = np.split(images, len(images) // size) if size else [images]
    return np.concatenate([session.run(None, {source.name: part})[0] for part in parts])


@pytest.mark.parametrize("name", NETWORKS)
def test_both_exporters_of_pytorch(name: str, floats: Path, tmp_path: Path) -> None:
    images, files = np.load(floats / "images.npy"), sorted(floats.glob(f"{name}-*.onnx"))
    assert {path.stem.split("-")[1] for path in files} == {"traced", "compiled"}
    for path in files:
        network = tmp_path / path.stem / "model.onnx"
        if name == "mixed" and "-1-" in path.stem:  # attention whose reshapes have the batch in the middle
            with pytest.raises(ModelError, match=FIXED):
                bringing.bring(path, network, images)
            continue
        assert bringing.bring(path, network, images).exact, path
        fixed = 1 if "-1-" in path.stem else 0
        assert np.array_equal(outputs(network, images, fixed), outputs(path, images, fixed)), path
        assert np.allclose(outputs(network, images), np.load(floats / f"{name}.npy"), atol=1e-5), path


class Reader(CalibrationDataReader):
    def __init__(self, name: str, images: np.ndarray) -> None:
        self.left = [{name: image} for image in np.split(images, len(images))]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.left.pop() if self.left else None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in NETWORKS
        for kind in ("traced-N-17", "compiled-1-18", "compiled-N-20")
        if (name, kind) != ("mixed", "compiled-1-18")  # which is refused
    ],
)
def test_static_int8_agrees_at_least_as_often_as_that_of_onnxruntime(
    name: str, kind: str, floats: Path, tmp_path: Path
) -> None:
    given, calibration = floats / f"{name}-{kind}.onnx", np.load(floats / "images.npy")
    images = np.random.default_rng(1).normal(size=(1000, 3, 8, 8)).astype(np.float32)
    network, target = tmp_path / "network/model.onnx", tmp_path / "static/model.onnx"
    bringing.bring(given, network, calibration)
    samples = Samples(calibration, Split(calibration, np.zeros(len(calibration), np.int64)))
    recipes.quantize("onnx_int8_static", network.parent, target, samples, {})
    onnx.save(onnx.load(given), tmp_path / "whole.onnx")  # it reads no weights beside a file in another folder
    quant_pre_process(tmp_path / "whole.onnx", tmp_path / "ready.onnx", skip_symbolic_shape=True)
    quantize_static(
        tmp_path / "ready.onnx", tmp_path / "theirs.onnx", Reader("photo", calibration),
        quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True,
    )  # fmt: skip
    fixed = 1 if "-1-" in kind else 0
    wanted = outputs(given, images, fixed).argmax(1)
    ours, theirs = (
        np.mean(each.argmax(1) == wanted)
        for each in (open_model(target)(images), outputs(tmp_path / "theirs.onnx", images, fixed))
    )
    assert ours >= theirs, (ours, theirs)


@pytest.mark.parametrize(
    ("name", "normalized", "share"),
    [
        ("channels", False, 1),
        ("powers", False, 1),
        ("four", False, 1),
        ("qnnpack", True, 1),
        ("x86", True, 1),
        ("pt2e", False, 0.82),  # the quantizer leaves out the range between a convolution and the addition behind it
    ],
)
def test_what_training_learned_is_kept(
    name: str, normalized: bool, share: float, learned: Path, tmp_path: Path
) -> None:
    images, network = np.load(learned / "images.npy"), tmp_path / "network/model.onnx"
    agreement = bringing.bring(learned / f"{name}.onnx", network, images)
    assert agreement.exact
    samples, target = Samples(images, Split(images, np.zeros(len(images), np.int64))), tmp_path / "int8/model.onnx"
    recipes.quantize("onnx_int8_qat", network.parent, target, samples, {})
    proof.holds(proof.read(target), proof.read(learned / f"{name}.onnx"), normalized)
    found = integer_coverage.prove(target)
    assert found.integer_weight_share == 1
    assert found.integer_compute_share == pytest.approx(share, abs=0.05)
    if share < 1:
        assert "has no range for the output of" in " ".join(agreement.remarks)
    trained, integer = np.load(learned / f"{name}.npy"), open_model(target)(images)
    error = float(np.sqrt(np.mean((integer - trained) ** 2) / np.mean(trained**2)))
    assert error < 0.03, "as far from what the framework computes as a few roundings the other way"
    assert np.mean(integer.argmax(1) == trained.argmax(1)) > 0.95


def test_perceptrons_of_scikit_learn(dense: Path, tmp_path: Path) -> None:
    vectors = np.load(dense / "vectors.npy")
    with pytest.raises(ModelError, match=r"has 2 outputs \(label, probabilities\), .*onnx.utils.extract_model"):
        bringing.bring(dense / "classifier.onnx", tmp_path / "network/model.onnx", vectors)
    source = onnx.load(dense / "classifier.onnx").graph.input[0].name
    extract_model(dense / "classifier.onnx", tmp_path / "kept.onnx", [source], ["probabilities"])
    for path in (tmp_path / "kept.onnx", dense / "regressor.onnx"):
        network = tmp_path / path.stem / "model.onnx"
        assert bringing.bring(path, network, vectors).exact
        samples = Samples(vectors[:500], Split(vectors[500:700], np.zeros(200, np.int64)))
        for recipe in ("onnx_int8_static", "onnx_int8_dynamic", "onnx_int8_weight_only"):
            target = tmp_path / path.stem / recipe / "model.onnx"
            recipes.quantize(recipe, network.parent, target, samples, {})
            assert integer_coverage.prove(target).integer_weight_share == 1
        wanted, got = (
            open_model(each)(vectors) for each in (network, tmp_path / path.stem / "onnx_int8_static/model.onnx")
        )
        assert np.mean(np.argmax(wanted, 1) == np.argmax(got, 1)) > 0.98


def test_the_one_shot_command_takes_a_file_of_each_exporter(floats: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(2).normal(size=(400, 3, 8, 8)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    octavo = str(Path(sys.executable).with_name("octavo"))
    for name in ("residual-traced-1-17", "residual-compiled-N-18"):
        done = subprocess.run(
            [octavo, "quantize", str(floats / f"{name}.onnx"), "--data", "images.npy", "--out", name],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "bit for bit the outputs of the given file" in done.stderr
        assert "onnx_int8_static" in done.stdout
