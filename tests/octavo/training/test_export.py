"""Keras to ONNX and SavedModel: what converters find hard, and what they cannot do."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

from octavo.backends.registry import open_model
from octavo.data.splits import Samples, Split
from octavo.project.errors import ModelError
from octavo.quantization import recipes
from octavo.training import export
from tests.octavo.training import networks
from tests.octavo.training.networks import Builder, graph, sequence

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]

HARD: dict[str, tuple[Builder, tuple[str, ...]]] = {
    "GELU by erf": (sequence(layers.Conv2D(4, 3, activation="gelu")), ("Erf",)),
    "GELU by tanh": (graph(lambda x: tf.nn.gelu(x, approximate=True)), ("Tanh",)),
    "hard swish": (graph(networks.hard_swish), ("Clip",)),
    "GRU": (sequence(layers.GRU(5), shape=networks.SERIES), ("GRU",)),
    "LSTM": (sequence(layers.Bidirectional(layers.LSTM(5)), shape=networks.SERIES), ("LSTM",)),
    "another recurrent layer": (sequence(layers.SimpleRNN(5), shape=networks.SERIES), ("Loop",)),
    "grouped convolution": (graph(layers.Conv2D(4, 3, groups=2)), ("Conv",)),
    "a function compiled by a layer": (graph(layers.Lambda(tf.function(lambda x: x * 2, jit_compile=True))), ("Conv",)),
    "zeros only": (graph(layers.Conv2D(4, 3, kernel_initializer="zeros")), ("Conv",)),
}


def exported(model: keras.Model, shape: tuple[int, ...], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images, and the network's logits."""
    images = np.random.default_rng(0).random((6, *shape), dtype=np.float32)
    export.export(model, images, folder)
    return images, np.asarray(model(images))


@pytest.mark.parametrize("kind", HARD)
def test_both_formats_compute_what_keras_does(kind: str, tmp_path: Path) -> None:
    build, operators = HARD[kind]
    model = build()
    images, wanted = exported(model, model.input_shape[1:], tmp_path)
    found = Counter(node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node)
    assert set(operators) <= set(found)
    samples = Samples(images, Split(images, np.zeros(len(images), np.int64)))
    for recipe, name in (("onnx_fp32", "fp32.onnx"), ("litert_fp32_tensorflow", "fp32.tflite")):
        recipes.quantize(recipe, tmp_path, tmp_path / name, samples, {})
        np.testing.assert_allclose(open_model(tmp_path / name)(images), wanted, atol=1e-5)


def test_onnxruntime_finds_gelu_in_its_own_form(tmp_path: Path) -> None:
    """Erfc(-x / √2) has become 1 + Erf(x / √2): no subtraction, no negation is left."""
    exported(sequence(layers.Dense(5, activation="gelu"), shape=(7,))(), (7,), tmp_path)
    found = Counter(node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node)
    assert found["Div"] == found["Erf"] == found["Add"] == 1
    assert not found["Neg"] + found["Sub"]


def test_erfc_elsewhere_than_in_gelu_is_one_less_erf(tmp_path: Path) -> None:
    exported(graph(lambda x: tf.math.erfc(3.0 * x))(), networks.IMAGE, tmp_path)  # type: ignore[operator]
    assert "Sub" in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}


def test_a_subclassed_network_is_exported(tmp_path: Path) -> None:
    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            return self.dense(keras.backend.batch_flatten(inputs))

    model = Net()
    model(np.zeros((1, 4, 4), np.float32))
    exported(model, (4, 4), tmp_path)


def test_an_operator_that_onnx_does_not_have_is_named_with_its_layer(tmp_path: Path) -> None:
    model = graph(layers.Lambda(tf.math.bessel_i0e, name="bessel"))()
    with pytest.raises(ModelError, match=r"does not support BesselI0e of layer 'bessel/.*'\. Replace that layer"):
        exported(model, networks.IMAGE, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_logits_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = graph(layers.Lambda(lambda x: x / 0.0))()
    with pytest.raises(ModelError, match="logits that are not finite on calibration images"):
        exported(model, networks.IMAGE, tmp_path)


EXPORT_RECURRENT = """
import sys
from pathlib import Path
from octavo.training.fitting import fit

fit.pin(0, 1)  # before anything makes an operation
from tf_keras import layers
from tests.octavo.training.networks import SERIES, sequence
from tests.octavo.training.test_export import exported

network = sequence(
    layers.LSTM(3, return_sequences=True),
    layers.GRU(3, return_sequences=True),
    layers.Bidirectional(layers.SimpleRNN(3)),
    shape=SERIES,
)()
exported(network, SERIES, Path(sys.argv[1]))
"""


def test_two_exports_have_the_same_bytes(tmp_path: Path) -> None:
    """Each in a process of its own, as stages are: names count up within a process.

    ONNX has operators for the first two layers; the third becomes loops, whose parts tf2onnx writes in another order
    in each process.
    """
    for folder in ("first", "second"):
        subprocess.run([sys.executable, "-c", EXPORT_RECURRENT, tmp_path / folder], cwd=ROOT, check=True)
    files = [path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file()]
    assert len(files) >= 2
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file
