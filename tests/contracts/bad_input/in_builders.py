"""Bad builders: functions of the user's own that build a network."""

from collections.abc import Iterator
from pathlib import Path

from octavo.training import networks
from tests.contracts.bad_input.kind import Kind

SHAPE, CLASSES = (5, 4), 3
HEAD = """\
import sys
import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers as L

def net(shape, *more, **options):
    return keras.Sequential([L.Input(shape, **options), L.Flatten(), *more])
"""
RETURNED = {
    "nothing": ("None", "built a NoneType; allowed is a model of tf_keras or Keras 3, which the function has to"),
    "a number": ("3", "built a int; allowed is a model of tf_keras or Keras 3: Sequential, functional, or subclassed"),
    "a class": ("keras.Model", "built a type; allowed is a model of tf_keras or Keras 3"),
    "an empty network of Keras 3": ("__import__('keras').Sequential([])", "cannot be built because it has no layers"),
    "more outputs": (
        "net(s, L.Dense(n + 1))",
        "maps (None, 5, 4) to (None, 4); the data need (None, 5, 4) to (None, 3)",
    ),
    "another input": (
        "net((5, 5), L.Dense(n))",
        "cannot be built for images (5, 4) and 3 classes: ValueError: Input 0 of layer",
    ),
    "no weights": ("net(s)", "no parameters, so there is nothing to train"),
    "bytes": ("net(s, L.Dense(n), dtype='uint8')", "takes uint8; allowed is float32"),
    "a fixed batch": ("net(s, L.Dense(n), batch_size=2)", "takes 2 images at a time; leave the batch size free"),
    "NaN": ("net(s, L.Dense(n, kernel_initializer=keras.initializers.Constant(np.nan)))", "that are not finite"),
    "an error": ("1 / 0", "ZeroDivisionError: division by zero"),
    "an exit": ("sys.exit(3)", "sys.exit: 3"),
    "a name that is none": ("dense", "NameError: name 'dense' is not defined"),
    "a layer larger than the image": ("net(s, L.Reshape((5, 4, 1)), L.Conv2D(2, 9))", "ValueError"),
    "an operator that is none": ("net(s, L.Dense(n, activation='rleu'))", "rleu"),
}
MODULES = {
    "another name": ("def builds(s, n): ...", "there is no such name. Did you mean 'builds'?"),
    "a number": ("build = 3", "'build' must be a function, but it is a int"),
    "one argument": (
        "def build(shape): ...",
        "allowed is a function of the shape of one image and the number of classes",
    ),
    "no Python": ("def build(:", "line 1: SyntaxError"),
    "an import that fails": ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
    "an exit while it is imported": ("import sys; sys.exit(0)", "sys.exit: 0"),
    "bytes that are no text": ("\udcff", "SyntaxError"),
}


def built(name: str, content: str, told: str) -> Kind:
    """A module of its own for each, because Python imports a name once."""
    module = f"net_{name.replace(' ', '_').lower()}"

    def meet() -> None:
        Path(f"{module}.py").write_bytes(content.encode(errors="surrogateescape"))
        networks.build(f"{module}:build", SHAPE, CLASSES)

    return Kind("builders", name, meet, told)


def _kinds() -> Iterator[Kind]:
    for name, (expression, told) in RETURNED.items():
        yield built(f"returns {name}", f"{HEAD}\ndef build(s, n):\n    return {expression}\n", told)
    for name, (content, told) in MODULES.items():
        yield built(f"a module with {name}", content, told)
    yield Kind(
        "builders",
        "no module",
        lambda: networks.build("nowhere:build", SHAPE, CLASSES),
        "there is no module 'nowhere' here. Give module:function",
    )
    yield Kind(
        "builders", "no such network", lambda: networks.build("lenet", SHAPE, CLASSES), "Unknown network 'lenet'"
    )
    yield Kind(
        "builders",
        "vectors for small_cnn",
        lambda: networks.build("small_cnn", (16,), CLASSES),
        "is for images (H, W) or (H, W, C), and examples have shape (16,). Build one of your own",
    )
    yield Kind(
        "builders",
        "tiny images for cnn4",
        lambda: networks.build("cnn4", (2, 2), CLASSES),
        "cannot be built for images (2, 2)",
    )


KINDS = tuple(_kinds())
