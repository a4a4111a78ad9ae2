"""SavedModels as others write them, and changes of their graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras as keras_3
import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

RNG = np.random.default_rng(0)
CLASSES = 3


def layers(keras: Any) -> Any:
    image = keras.layers.Input((8, 8, 1))
    hidden = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(image)
    hidden = keras.layers.BatchNormalization(moving_mean_initializer="ones")(hidden)
    hidden = keras.layers.Dropout(0.5)(keras.layers.Add()([keras.layers.ReLU()(hidden), image]))
    hidden = keras.layers.MaxPooling2D(2)(keras.layers.DepthwiseConv2D(3, padding="same")(hidden))
    return keras.Model(image, keras.layers.Dense(CLASSES, activation="softmax")(keras.layers.Flatten()(hidden)))


def by_keras_3(folder: Path) -> None:
    layers(keras_3).export(str(folder), verbose=False)


def by_tf_keras(folder: Path) -> None:
    model = layers(tf_keras)
    model.compile("adam", "mse")
    model.save(folder, save_format="tf")


class OwnCode(tf.Module):
    """Not Keras: variables of one name, one of them read by position, and a matrix that is too large to convert."""

    def __init__(self) -> None:
        super().__init__()
        self.table = tf.Variable(RNG.normal(size=(5, 8)).astype(np.float32), name="weight")
        self.large = tf.Variable(RNG.normal(size=(64, 2**14)).astype(np.float32), name="weight")
        self.small = tf.Variable(RNG.normal(size=(2**14, CLASSES)).astype(np.float32) / 100, name="weight")

    @tf.function
    def scaled(self, values: tf.Tensor) -> tf.Tensor:
        first, second = tf.split(values, 2, axis=1)
        places = tf.math.top_k(values[:, 0], 1).indices
        return tf.concat([tf.nn.relu(second), first + tf.cast(places, tf.float32)[:, tf.newaxis] / 8.0], 1)

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image")])
    def serve(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        places = tf.cast(tf.reduce_max(image, (1, 2, 3)) * 4, tf.int32)
        values = self.scaled(self.scaled(tf.squeeze(image, -1) + tf.gather(self.table, places)[:, tf.newaxis]))
        return {"scores": tf.reshape(values, (-1, 64)) @ self.large @ self.small}


def by_a_module(folder: Path) -> None:
    module = OwnCode()
    tf.saved_model.save(module, str(folder), signatures=module.serve)


def by_tensorflow_1(folder: Path, kind: str) -> None:
    v1 = tf.compat.v1
    values = RNG.normal(size=(64, CLASSES)).astype(np.float32)
    with tf.Graph().as_default(), v1.Session() as session:
        image = v1.placeholder(tf.float32, (None, 8, 8, 1), "image")
        kept = v1.placeholder_with_default(1.0, (), "kept")
        weights = (
            tf.constant(values)
            if kind == "constants"
            else v1.get_variable("w", initializer=values, use_resource=kind == "resource")
        )
        scores = tf.identity(tf.matmul(tf.reshape(image, (-1, 64)), weights) * kept, "scores")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"image": image}, {"scores": scores})


def saved(folder: Path, network: Callable[[Any], Any], shape: Any = (None, 4), **tracked: Any) -> None:
    """A network of one function; `tracked` are its variables and tables."""
    module = tf.Module()
    for name, value in tracked.items():
        setattr(module, name, value)
    module.serve = tf.function(network, input_signature=[tf.TensorSpec(shape, tf.float32, name="x")])
    tf.saved_model.save(module, str(folder), signatures=module.serve)


def changed(folder: Path, change: Callable[[MetaGraphDef], object]) -> None:
    path, found = folder / "saved_model.pb", SavedModel()
    found.ParseFromString(path.read_bytes())
    change(found.meta_graphs[0])
    path.write_bytes(found.SerializeToString())
