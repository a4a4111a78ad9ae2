"""TensorFlow's converter converts, or says in one sentence why not, and its end ends nothing else."""

import os
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

from octavo.backends.litert import line_process
from octavo.data.splits import Samples
from octavo.project.errors import ModelError
from octavo.quantization import recipes
from octavo.quantization.acceptance import FileRefused
from octavo.quantization.converter import conversion

pytestmark = pytest.mark.slow

CONVERTED = [name for name in recipes.names() if name.endswith("_tensorflow")]


@pytest.mark.parametrize("recipe", CONVERTED)
def test_a_network_past_2_gb_is_refused(recipe: str, exported: Path, samples: Samples, tmp_path: Path) -> None:
    """It is exported without a SavedModel, and its weights are in a file beside the ONNX file."""
    shutil.copyfile(exported / "fp32/model.onnx", tmp_path / "model.onnx")
    (tmp_path / "model.onnx.data").touch()
    with pytest.raises(FileRefused, match=r"has no SavedModel: networks past 2 GB are too large for LiteRT\."):
        recipes.quantize(recipe, tmp_path, tmp_path / "made/model.tflite", samples, {})


@pytest.mark.parametrize("recipe", CONVERTED)
def test_a_network_that_was_brought_as_onnx_is_refused(
    recipe: str, exported: Path, samples: Samples, tmp_path: Path
) -> None:
    shutil.copyfile(exported / "fp32/model.onnx", tmp_path / "model.onnx")
    with pytest.raises(FileRefused, match=r"brought as ONNX\. TensorFlow's converter needs a network that is built"):
        recipes.quantize(recipe, tmp_path, tmp_path / "made/model.tflite", samples, {})
    assert list((tmp_path / "made").iterdir()) == []


def inverse() -> keras.Model:
    return keras.Sequential([layers.Input((4, 4)), layers.Lambda(tf.linalg.inv, name="turn"), layers.Flatten()])


@pytest.mark.parametrize("recipe", ["litert_fp32_tensorflow", "litert_int8_static_tensorflow"])
def test_what_litert_cannot_convert_is_named(
    recipe: str, exported: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], samples: Samples
) -> None:
    """One sentence, and nothing else: not a line of the converter's own, and no file."""
    shutil.copyfile(exported / "fp32/model.onnx", tmp_path / "model.onnx")
    model = inverse()
    signature = tf.function(model).get_concrete_function(tf.TensorSpec((None, 4, 4), tf.float32))
    tf.saved_model.save(model, str(tmp_path / "saved_model"), signatures=signature)
    capfd.readouterr()
    made = recipes.load(recipe)
    with pytest.raises(ModelError, match=r"layer 'turn', operator MatrixInverse, which LiteRT does not have\. Replace"):
        made.quantize(tmp_path, tmp_path / "model.tflite", samples, made.Options())
    assert capfd.readouterr().err == ""
    assert not (tmp_path / "model.tflite").exists()


def test_a_converter_that_ends_is_started_again(exported: Path) -> None:
    before = conversion.convert(exported / "fp32")
    line_process.started(conversion.PROGRAM, conversion.HOME, os.getpid()).kill()
    with pytest.raises(ModelError, match=r"LiteRT's converter ended with signal 9 on .*saved_model\. Run the same"):
        conversion.convert(exported / "fp32")
    assert conversion.convert(exported / "fp32") == before


def test_its_process_runs_the_octavo_that_asks_and_nothing_of_the_callers_folder(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process takes modules from its working directory first."""
    assert Path(conversion.__file__).relative_to(conversion.HOME).with_suffix("").parts == tuple(
        conversion.__name__.split(".")
    )
    (tmp_path / "tensorflow.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    line_process.started.cache_clear()
    assert conversion.convert(exported / "fp32")
