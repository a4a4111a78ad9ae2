"""Networks in files of Keras 2 and Keras 3: they compute what they computed where they were saved."""

import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras as keras_3
import numpy as np
import pytest
import tf_keras

from octavo.backends.registry import open_model
from octavo.project.errors import ModelError
from octavo.training import export
from octavo.training.fitting import library
from octavo.training.keras_files import containers, reading

pytestmark = pytest.mark.slow
IMAGES = np.random.default_rng(0).random((8, 8, 8, 1), dtype=np.float32)
KERAS = {"keras_2": tf_keras, "keras_3": keras_3}


def sequential(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def functional(keras: Any) -> Any:
    image = keras.layers.Input((8, 8, 1))
    hidden = keras.layers.Add()([keras.layers.Conv2D(4, 3, padding="same")(image), image])
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(hidden)))


def recurrent(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([layers.Input((8, 8, 1)), layers.Reshape((8, 8)), layers.GRU(4), layers.Dense(3)])


NETWORKS = {each.__name__: each for each in (sequential, functional, recurrent)}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize("which", KERAS)
def test_a_saved_network_computes_the_same_as_read_and_as_exported(
    which: str, build: str, suffix: str, tmp_path: Path
) -> None:
    network, file = NETWORKS[build](KERAS[which]), tmp_path / f"net{suffix}"
    network.save(file)
    wanted = np.asarray(network(IMAGES, training=False))
    found = reading.read(file)
    assert library.of(found) is KERAS[which]
    np.testing.assert_array_equal(np.asarray(found(IMAGES, training=False)), wanted)
    export.export(found, IMAGES, tmp_path)
    np.testing.assert_allclose(open_model(tmp_path / "model.onnx")(IMAGES), wanted, atol=1e-5)


@pytest.mark.parametrize("which", KERAS)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_is_not_run(which: str, suffix: str, tmp_path: Path) -> None:
    layers = KERAS[which].layers
    network = KERAS[which].Sequential([layers.Input((8, 8, 1)), layers.Lambda(lambda x: x * 2), layers.Flatten()])
    network.save(tmp_path / f"net{suffix}")
    with pytest.raises(ModelError, match=r"Lambda layer 'lambda.*ONNX"):
        reading.read(tmp_path / f"net{suffix}")


def test_weights_alone_need_their_builder(tmp_path: Path) -> None:
    sequential(tf_keras).save_weights(tmp_path / "net.h5")
    with pytest.raises(ModelError, match=r"weights without a network.*build: module:function"):
        reading.read(tmp_path / "net.h5")


def test_values_of_other_files_are_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(400))
    for kind in ("link", "soft", "external"):
        file = tmp_path / f"{kind}.h5"
        sequential(tf_keras).save(file)
        with h5py.File(file, "a") as opened:
            group = opened["model_weights"]
            if kind == "link":
                group["more"] = h5py.ExternalLink("other.h5", "/values")
            elif kind == "soft":
                group["more"] = h5py.SoftLink("/model_weights")
            else:
                group.create_dataset("more", (100,), "f4", external=[(str(secret), 0, 400)])
        with pytest.raises(ModelError, match="takes more from"):
            reading.read(file)


def test_groups_that_hold_each_other_end(tmp_path: Path) -> None:
    network = sequential(tf_keras)
    network.save(tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "a") as opened:
        opened["model_weights"]["more"] = opened["/"]
    reading.read(tmp_path / "net.h5")


def test_damaged_files_are_said(tmp_path: Path) -> None:
    whole = tmp_path / "whole.keras"
    sequential(keras_3).save(whole)
    content = whole.read_bytes()
    (tmp_path / "net.keras").write_bytes(content[: len(content) // 2])
    (tmp_path / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (tmp_path / "empty.keras").write_bytes(b"")
    for name in ("net.keras", "net.h5", "empty.keras", "missing.keras", "missing.h5"):
        with pytest.raises(ModelError, match=f"{name} is not a Keras file, or damaged"):
            reading.read(tmp_path / name)
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr("../../assets/x", "x")
    with pytest.raises(ModelError, match=r"has a file \.\./\.\./assets/x"):
        reading.read(whole)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in (".keras", ".h5"):
        functional(keras_3).save(tmp_path / f"net{suffix}")
        monkeypatch.setattr(containers, "LARGEST", 1000)
        with pytest.raises(ModelError, match="at most 1,000 are read"):
            reading.read(tmp_path / f"net{suffix}")
        monkeypatch.undo()
