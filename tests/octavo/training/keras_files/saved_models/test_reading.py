"""Networks in SavedModels compute what TensorFlow's own loader makes them compute."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from octavo.training import export
from octavo.training.keras_files.saved_models import reading
from tests.octavo.training.keras_files.saved_models import made

pytestmark = pytest.mark.slow
IMAGES = np.random.default_rng(1).random((33, 8, 8, 1), dtype=np.float32)
WAYS: dict[str, tuple[Callable[[Path], None], str | None, str | None]] = {
    "Keras 3": (made.by_keras_3, None, "output_0"),
    "tf_keras": (made.by_tf_keras, None, None),
    "a module": (made.by_a_module, "image", "scores"),
    "constants of TensorFlow 1": (partial(made.by_tensorflow_1, kind="constants"), "image", "scores"),
    "variables of TensorFlow 1": (partial(made.by_tensorflow_1, kind="reference"), "image", "scores"),
    "resources of TensorFlow 1": (partial(made.by_tensorflow_1, kind="resource"), "image", "scores"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_exported_network_computes_the_same(way: str, tmp_path: Path) -> None:
    make, *names = WAYS[way]
    make(tmp_path / "given")
    signature = tf.saved_model.load(str(tmp_path / "given")).signatures["serving_default"]
    ((source, _),) = signature.structured_input_signature[1].items()
    ((target, wanted),) = signature(**{source: tf.constant(IMAGES)}).items()
    served = reading.read(tmp_path / "given")
    export.export_frozen(served.frozen, "theirs", served.run, IMAGES, tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run([target], {source: IMAGES})
    spread = float(wanted.numpy().max() - wanted.numpy().min())
    assert spread > 0.01
    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-5 * spread)
    assert served.frozen.names == (source, target)
    for name, found_name in zip(names, served.frozen.names, strict=True):
        assert name in (None, found_name)
    assert served.shape == (8, 8, 1)


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    made.by_a_module(tmp_path / "given")
    for name in ("first", "second"):
        served = reading.read(tmp_path / "given")
        assert [*served.frozen.kernels] == ["weight_1"]
        export.export_frozen(served.frozen, "theirs", served.run, IMAGES, tmp_path / name)
    for file in ("model.onnx", "saved_model/saved_model.pb"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_serving_default_is_taken_of_several_signatures(tmp_path: Path) -> None:
    module = made.OwnCode()
    other = tf.function(lambda x: x * 2.0, input_signature=[tf.TensorSpec((None, 4), tf.float32, name="x")])
    module.other = other
    tf.saved_model.save(module, str(tmp_path), signatures={"other": other, "serving_default": module.serve})
    served = reading.read(tmp_path)
    assert (served.signature, served.others) == ("serving_default", ("other",))
    assert served.shape == (8, 8, 1)
