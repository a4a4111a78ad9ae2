"""The stages that train and export, run for real: only what variants need, and one refusal stops nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.architecture.source_tree import ROOT

pytestmark = pytest.mark.slow

MINE = """\
import tf_keras as keras
from tf_keras import layers as L

def scaled(shape, classes):
    image = L.Input(shape)
    hidden = L.Conv2D(4, 3, strides=3, activation="relu")(L.Rescaling(2.0, -1.0)(L.Reshape((*shape, 1))(image)))
    return keras.Model(image, L.Dense(classes, activation="softmax")(L.Flatten()(hidden)))

class Net(keras.Model):
    def __init__(self, classes):
        super().__init__()
        self.flat, self.dense = L.Flatten(), L.Dense(classes)
    def call(self, x):
        return self.dense(self.flat(x))

def subclassed(shape, classes):
    return Net(classes)
"""
RUN = """\
import importlib, json, sys
for line in sys.argv[1:]:
    name, *arguments = line.split()
    print(f"== {line}", file=sys.stderr, flush=True)
    importlib.import_module(f"octavo_stages.{name}").main(*arguments)
"""
NETWORKS = ("network fp32", "finetune control", "finetune qat")


def project(folder: Path, network: str, sources: list[str]) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["networks"]["fp32"] |= {"build": f"mine:{network}", "epochs": 1}
    for name in ("control", "qat"):
        params["finetuned"][name]["epochs"] = 1
    params["variants"] = {f"onnx_fp32_{name}": {"source": name, "recipe": "onnx_fp32"} for name in sources}
    params["baseline"] = "onnx_fp32_fp32"
    (folder / "data").mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / "mine.py").write_text(MINE, encoding="utf-8")


def run(folder: Path, *stages: str) -> dict[str, str]:
    """What each stage said on stderr; all run in one process, as each sets the same seed and threads."""
    command = [sys.executable, "-c", RUN, *stages]
    environment = {"PYTHONPATH": f"{folder}:{ROOT}", "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    parts = [part.partition("\n") for part in done.stderr.split("== ")[1:]]
    return {stage: said for stage, _, said in parts}


def read(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], dict[str, str]]:
    """A network that ends in softmax and that TFMOT takes but for one layer: without QAT variants, and then with."""
    folder = tmp_path_factory.mktemp("project")
    project(folder, "scaled", ["fp32"])
    without = run(folder, "prepare", *NETWORKS)
    (folder / "artifacts").rename(folder / "without")
    project(folder, "scaled", ["fp32", "qat"])
    (folder / "artifacts").mkdir()
    for name in ("data", "networks"):
        (folder / "without" / name).rename(folder / "artifacts" / name)
    return folder, without, run(folder, *NETWORKS[1:])


def test_networks_that_no_variant_needs_are_not_trained(artifacts: tuple[Path, dict[str, str], dict[str, str]]) -> None:
    folder, said, _ = artifacts
    assert said["finetune qat"].startswith(
        "No variant in params.yaml has source 'qat', so network 'qat' is not trained"
    )
    assert "'control' or 'qat'" in said["finetune control"]
    for network in ("control", "qat"):
        exported = folder / "without/exported" / network
        assert [path.name for path in exported.iterdir()] == ["refused.json"]
        assert "is not trained" in str(read(exported / "refused.json"))
    assert (folder / "without/exported/fp32/model.onnx").exists()


def test_a_variant_that_needs_them_brings_them_back(artifacts: tuple[Path, dict[str, str], dict[str, str]]) -> None:
    folder, _, said = artifacts
    for network in ("control", "qat"):
        assert not (folder / "artifacts/networks" / network / "refused.json").exists()
        assert (folder / "artifacts/exported" / network / "model.onnx").exists()
    assert "TFMOT cannot quantize these layers, so QAT keeps them in float: rescaling." in said["finetune qat"]


def test_cards_will_say_what_was_taken_off_and_left_in_float(
    artifacts: tuple[Path, dict[str, str], dict[str, str]],
) -> None:
    folder, without, _ = artifacts
    softmax = "The network as written ends in softmax, which was removed: this file gives logits."
    assert softmax in without["network fp32"]
    for exported, count in ((folder / "without/exported/fp32", 1), (folder / "artifacts/exported/qat", 2)):
        remarks = read(exported / "remarks.json")
        assert isinstance(remarks, list)
        assert len(remarks) == count
        assert remarks[0].startswith(softmax)
        assert ["rescaling" in remark for remark in remarks[1:]] == [True] * (count - 1)


def test_a_network_that_tfmot_refuses_refuses_its_variants_alone(tmp_path: Path) -> None:
    project(tmp_path, "subclassed", ["fp32", "qat"])
    said = run(tmp_path, "prepare", *NETWORKS[::2])
    reason = "Network 'net' cannot be trained quantization-aware: TFMOT takes Sequential and functional models"
    assert said["finetune qat"].startswith(f"Refused network qat, and so all variants with source 'qat': {reason}")
    assert str(read(tmp_path / "artifacts/exported/qat/refused.json")).count(reason) == 1
    assert (tmp_path / "artifacts/exported/fp32/model.onnx").exists()
