"""Large kernels go around the converters and come out where they belong."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from octavo.backends.registry import open_model
from octavo.training import export, frozen_graph, networks
from octavo.training.quantization_aware import qat

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).random((6, 28, 28), dtype=np.float32)


@pytest.fixture
def model() -> keras.Model:
    return networks.build("cnn4", (28, 28), 10)


def test_kernels_that_went_around_give_the_same_onnx(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export.export(model, IMAGES, tmp_path / "through")
    monkeypatch.setattr(frozen_graph, "LARGE", 1)
    export.export(model, IMAGES, tmp_path / "around")
    assert len(frozen_graph.freeze(model, (28, 28)).kernels) == 2
    assert (tmp_path / "around" / "model.onnx").read_bytes() == (tmp_path / "through" / "model.onnx").read_bytes()


def test_the_saved_model_has_them_as_constants(model: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_graph, "LARGE", 1)
    saved = frozen_graph.saved_model(frozen_graph.freeze(model, (28, 28)))
    assert isinstance(saved, SavedModel)
    nodes = saved.meta_graphs[0].graph_def.node
    assert [node.name for node in nodes if node.op == "Placeholder"] == ["images"]
    contents = {node.attr["value"].tensor.tensor_content for node in nodes if node.op == "Const"}
    assert {
        layer.kernel.numpy().tobytes() for layer in model.layers if isinstance(layer, keras.layers.Dense)
    } < contents


def test_fake_quantized_kernels_go_through_the_converter(model: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_graph, "LARGE", 1)
    assert frozen_graph.freeze(qat.annotate(model), (28, 28)).kernels == {}


def test_past_protobufs_limit_there_is_onnx_alone(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    export.export(model, IMAGES, tmp_path)
    monkeypatch.setattr(frozen_graph, "LIMIT", 100_000)
    export.export(model, IMAGES, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "layers.json"}
    assert "saved_model is not written, so there is no LiteRT" in capsys.readouterr().err
    assert open_model(tmp_path / "model.onnx")(IMAGES).shape == (6, 10)


MEMORY = """
import sys
from pathlib import Path
import numpy as np, tf_keras as keras
from octavo.training import export
from tests.octavo.onnx_graph.test_file_io import resident
images = np.random.default_rng(0).random((4, 5000), dtype=np.float32)
def dense(width):
    return keras.Sequential([keras.layers.Input((5000,)), keras.layers.Dense(width)])
export.export(dense(10), images, Path(sys.argv[1]))
model = dense(5000)
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
export.export(model, images, Path(sys.argv[1]))
print((resident("VmHWM") - before) / 1e8)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_export_takes_a_few_copies_of_the_weights(tmp_path: Path) -> None:
    """Of 100 MB: a SavedModel and its bytes, then onnxruntime's; through tf2onnx it would be fifty."""
    command = [sys.executable, "-c", MEMORY, str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 4
