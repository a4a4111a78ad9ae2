"""A network in a SavedModel takes the place of a training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml

from octavo.backends import network_notes
from octavo.backends.registry import open_model
from octavo.data import prepare
from octavo.project import paths
from octavo.project.code import stages
from octavo.project.errors import DataError, ModelError
from octavo.project.params.params import Params
from octavo.project.setting_up import needed_extras
from octavo.quantization.converter import conversion
from octavo.training.fitting import fit
from octavo.training.keras_files.saved_models import door
from tests.octavo.training.keras_files.saved_models import made

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[5]
LATE = {"late": {"from": "theirs", "by": "continue", "epochs": 1, "batch_size": 32, "learning_rate": 0.0001}}


def params(file: str = "models/net", **sections: Any) -> Params:
    written = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) | {
        "data": {"source": "npz", "path": "images.npz", "calibration": 40},
        "networks": {},
        "finetuned": {},
        "brought": {"theirs": {"file": file}},
        "variants": {"onnx_fp32": {"source": "theirs", "recipe": "onnx_fp32"}},
    }
    return Params.model_validate(written | sections)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit, "pin", lambda *_: None)  # threads can be set only before the first operation
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8), np.uint8)
    labels = np.random.default_rng(1).integers(0, 3, 300)
    np.savez("images.npz", x_train=images[:200], y_train=labels[:200], x_test=images[200:], y_test=labels[200:])
    prepare.prepare(params().data, paths.DATA)


def test_a_brought_network_becomes_onnx_and_litert() -> None:
    made.by_keras_3(Path("models/net"))
    said = door.bring("theirs", params())
    assert said.startswith("theirs: brought from models/net, outputs differ")
    exported, images = paths.exported("theirs"), np.load("images.npz")["x_test"]
    signature = tf.saved_model.load("models/net").signatures["serving_default"]
    wanted = signature(tf.constant((images / np.float32(255))[..., None]))["output_0"].numpy()
    np.testing.assert_allclose(open_model(exported / "model.onnx")(images), wanted, atol=1e-5)
    Path("net.tflite").write_bytes(conversion.convert(exported))
    np.testing.assert_allclose(open_model(Path("net.tflite"))(images), wanted, atol=1e-5)
    notes = network_notes.read(exported)
    assert any("Of its signatures serve, serving_default, serving_default is taken." in note for note in notes)
    assert any("ends in Softmax" in note for note in notes)


def test_the_record_has_a_digest_of_all_files() -> None:
    made.by_a_module(Path("models/net"))
    digests = []
    for file in ("saved_model.pb", "variables/variables.index", "notes.txt"):
        door.bring("theirs", params())
        found = json.loads(paths.brought("theirs").read_text())
        assert found["file"] == "models/net"
        assert found["difference"] <= 1e-5 * found["spread"]
        digests.append(found["sha256"])
        if file == "notes.txt":
            Path("models/net", file).write_text("new")
    door.bring("theirs", params())
    digests.append(json.loads(paths.brought("theirs").read_text())["sha256"])
    assert len({*digests[:3]}) == 1
    assert digests[3] != digests[0]


def test_what_does_not_fit_is_refused_and_leaves_nothing_half_written() -> None:
    for network, shape, kind, said in (
        (lambda x: tf.reshape(x, (-1, 81))[:, :3] * 2.0, (None, 9, 9, 1), DataError, "takes examples of shape"),
        (lambda x: tf.reshape(x, (-1, 64))[:, :5] * 2.0, (None, 8, 8), ModelError, "outputs of shape"),
        (lambda x: x / tf.reduce_sum(x, 0), (None, 8, 8), ModelError, "does not treat each example by itself"),
        (lambda x: tf.reshape(x, (40, 64))[:, :3] * 2.0, (None, 8, 8), ModelError, "TensorFlow cannot run the graph"),
        (lambda x: tf.reduce_sum(x, 0), (None, 8, 8), ModelError, "one row for each"),
        (lambda x: tf.math.log(-x)[:, 0, :3], (None, 8, 8), ModelError, "NaN or infinite"),
    ):
        made.saved(Path("models/net"), network, shape)
        with pytest.raises(kind, match=said):
            door.bring("theirs", params())
        assert not paths.exported("theirs").exists()


def test_params_tell_a_saved_model_by_its_folder() -> None:
    asked = params()
    assert asked.brought["theirs"].module == door.__name__
    assert "train" in needed_extras.of(asked)
    assert stages.digests(asked)["bring"]["theirs"]
    with pytest.raises(ValueError, match="Give 'models/net'"):
        params("models/net/saved_model.pb")
    with pytest.raises(ValueError, match=r"finetuned\.late\.from is 'theirs'.*no Keras configuration"):
        params(finetuned=LATE)
