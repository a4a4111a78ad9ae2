"""A network in a Keras file takes the place of a training, and can be the start of one."""

import json
from pathlib import Path
from typing import Any

import keras as keras_3
import numpy as np
import pytest
import tf_keras
import yaml

from octavo.backends import network_notes
from octavo.backends.registry import open_model
from octavo.data import prepare
from octavo.project import paths
from octavo.project.code import stages
from octavo.project.errors import DataError, ModelError
from octavo.project.params.params import Params
from octavo.training.finetune import finetune
from octavo.training.fitting import fit
from octavo.training.keras_files import door

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[4]
BUDGET = {"epochs": 1, "batch_size": 32, "learning_rate": 0.0001}
CONTINUED = {"from": "theirs", "by": "continue"} | BUDGET
MINE = """
import tf_keras
from tf_keras import layers


def net(shape, classes):
    return tf_keras.Sequential([layers.Input((*shape, 1)), layers.Flatten(), layers.Dense(classes)])
"""


def params(**entry: Any) -> Params:
    written = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) | {
        "data": {"source": "npz", "path": "images.npz", "calibration": 40},
        "networks": {},
        "brought": {"theirs": entry},
        "finetuned": {"qat": {"from": "theirs", "by": "qat"} | BUDGET, "late": CONTINUED},
        "variants": {
            "onnx_fp32": {"source": "theirs", "recipe": "onnx_fp32"},
            "onnx_int8_qat": {"source": "qat", "recipe": "onnx_int8_qat"},
            "onnx_fp32_late": {"source": "late", "recipe": "onnx_fp32"},
        },
    }  # fmt: skip
    return Params.model_validate(written)


def network(keras: Any, classes: int = 3, shape: tuple[int, ...] = (8, 8, 1)) -> Any:
    layers = keras.layers
    made = [layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(classes, activation="softmax")]
    return keras.Sequential([layers.Input(shape), *made])


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(fit, "pin", lambda *_: None)  # threads can be set only before the first operation
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8), np.uint8)
    labels = np.random.default_rng(1).integers(0, 3, 300)
    np.savez("images.npz", x_train=images[:200], y_train=labels[:200], x_test=images[200:], y_test=labels[200:])
    prepare.prepare(params(file="net.keras").data, paths.DATA)


def outputs(name: str, images: np.ndarray) -> np.ndarray:
    return open_model(paths.exported(name) / "model.onnx")(images)


@pytest.mark.parametrize("keras", [tf_keras, keras_3])
def test_a_brought_network_gives_its_probabilities(keras: Any) -> None:
    """Its images have an axis for channels, and the data's have none: the exported file declares that."""
    given = network(keras)
    given.save("net.keras")
    said = door.bring("theirs", params(file="net.keras"))
    assert said.startswith("theirs: brought from net.keras, outputs differ")
    images = np.load("images.npz")["x_test"]
    wanted = np.asarray(given((images / np.float32(255))[..., None], training=False))
    np.testing.assert_allclose(outputs("theirs", images), wanted, atol=1e-5)
    assert (paths.exported("theirs") / "saved_model" / "saved_model.pb").is_file()
    assert any("ends in Softmax" in note for note in network_notes.read(paths.exported("theirs")))
    found = json.loads(paths.brought("theirs").read_text())
    assert found["file"] == "net.keras"
    assert found["difference"] < 1e-5


def test_fine_tuning_starts_from_the_brought_weights() -> None:
    given, asked = network(tf_keras), params(file="net.keras")
    given.save("net.keras")
    stages.write(asked)
    door.bring("theirs", asked)
    finetune("late", asked)
    finetune("qat", asked)
    images = np.load("images.npz")["x_test"]
    wanted = outputs("theirs", images)
    for name in ("late", "qat"):
        logits = outputs(name, images)
        exponentials = np.exp(logits - logits.max(1, keepdims=True))
        np.testing.assert_allclose(exponentials / exponentials.sum(1, keepdims=True), wanted, atol=0.08)


def test_weights_are_loaded_into_what_their_builder_builds() -> None:
    Path("mine.py").write_text(MINE)
    given = tf_keras.Sequential([tf_keras.layers.Input((8, 8, 1)), tf_keras.layers.Flatten(), tf_keras.layers.Dense(3)])
    given.save_weights("net.h5")
    door.bring("theirs", params(file="net.h5", build="mine:net"))
    images = np.load("images.npz")["x_test"]
    wanted = np.asarray(given((images / np.float32(255))[..., None], training=False))
    np.testing.assert_allclose(outputs("theirs", images), wanted, atol=1e-5)
    network(tf_keras).save_weights("net.h5")
    with pytest.raises(ModelError, match=r"weights in net\.h5 do not fit"):
        door.bring("theirs", params(file="net.h5", build="mine:net"))


def test_what_does_not_fit_is_refused_and_leaves_nothing_half_written() -> None:
    for given, kind, said in (
        (network(tf_keras, classes=5), ModelError, "outputs of shape"),
        (network(tf_keras, shape=(9, 9, 1)), DataError, "takes examples of shape"),
        (two_outputs(), ModelError, "has 2 outputs"),
    ):
        given.save("net.keras")
        with pytest.raises(kind, match=said):
            door.bring("theirs", params(file="net.keras"))
        assert not paths.exported("theirs").exists()


def two_outputs() -> Any:
    image = tf_keras.layers.Input((8, 8, 1))
    flat = tf_keras.layers.Flatten()(image)
    return tf_keras.Model(image, [tf_keras.layers.Dense(3)(flat), tf_keras.layers.Dense(3)(flat)])


def test_a_network_of_keras_3_is_trained_further_but_not_with_fake_quantization() -> None:
    network(keras_3).save("net.keras")
    assert "late: 1 epochs" in finetune("late", params(file="net.keras"))
    assert outputs("late", np.zeros((2, 8, 8), np.uint8)).shape == (2, 3)
    refused = finetune("qat", params(file="net.keras"))
    assert "starts from one of Keras 3, and quantization-aware training takes networks of tf_keras" in refused


def test_only_keras_files_can_be_trained() -> None:
    with pytest.raises(ValueError, match=r"finetuned\.qat\.from is 'theirs'.*Keras file"):
        params(file="net.onnx")


def test_a_changed_file_starts_fine_tuning_again() -> None:
    asked = params(file="net.keras")
    found = []
    for classes in (3, 4):
        network(tf_keras, classes=classes).save("net.keras")
        found.append(stages.digests(asked)["built"]["qat"])
    assert found[0] != found[1]


@pytest.mark.parametrize("entry", [{"file": "net.pkl"}, {"file": "net.keras", "build": "mine:net"}])
def test_other_entries_are_refused(entry: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"ONNX|Remove build"):
        params(**entry)
