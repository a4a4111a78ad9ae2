"""The `benchmark` stage over two small models."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import helper

from octavo.backends import model_files
from octavo.project import paths
from octavo_stages import benchmark
from tests.octavo.onnx_graphs import drawn, network

PARAMS = Path(__file__).parents[2] / "params.yaml"
VARIANTS = ("onnx_fp32", "onnx_fp16")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project in which every stage before the benchmark has run."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    params["variants"] = {name: params["variants"][name] for name in VARIANTS}
    params["benchmark"] = {"batches": [1], "rounds": 10}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    for seed, name in enumerate(VARIANTS):
        model_files.path_of(name).parent.mkdir(parents=True)
        onnx.save(network(nodes, {"w": drawn(16, 3, seed=seed)}, image=(4, 4)), model_files.path_of(name))
    paths.split("selection").mkdir(parents=True)
    np.save(paths.split("selection") / "images.npy", np.zeros((5, 4, 4), np.uint8))
    np.save(paths.split("selection") / "labels.npy", np.zeros(5, np.int64))


@pytest.mark.usefixtures("project")
def test_every_latency_is_recorded_with_the_digest_of_the_file_that_was_timed() -> None:
    benchmark.main()
    record = json.loads(paths.BENCHMARK.read_bytes())
    files = {name: model_files.path_of(name).read_bytes() for name in VARIANTS}
    assert record["models"] == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert record["latency"].keys() == set(VARIANTS)


@pytest.mark.usefixtures("project")
def test_a_missing_model_ends_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    model_files.path_of("onnx_fp16").unlink()
    with pytest.raises(SystemExit):
        benchmark.main()
    assert capsys.readouterr().err.startswith("octavo: No model file artifacts/models/onnx_fp16/model.onnx.")
