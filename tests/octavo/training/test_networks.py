"""Builders: names, the user's own, what they must fit, and whatever they do instead."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras

from octavo.project.errors import ParamsError
from octavo.training import networks
from octavo.training.quantization_aware import qat

pytestmark = pytest.mark.slow

SHAPE, CLASSES = (5, 4), 3
MINE = """\
import sys
import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers as L

class Net(keras.Model):
    def __init__(self, classes):
        super().__init__()
        self.flat, self.dense = L.Flatten(), L.Dense(classes)
    def call(self, x):
        return self.dense(self.flat(x))

class Frozen(L.Dense):
    def call(self, x):
        raise RuntimeError("no")

def body(shape, *more, dtype=None, batch=None):
    return keras.Sequential([L.Input(shape, batch_size=batch, dtype=dtype), L.Flatten(), *more])

def ends(shape, outputs):
    image = L.Input(shape)
    scores = L.Dense(3)(L.Flatten()(image))
    return keras.Model(image, outputs(scores))

def frozen(shape):
    model = body(shape, L.Dense(3))
    model.trainable = False
    return model

number = 3
"""
BUILT = {
    "a Sequential one": "body(s, L.Dense(n))",
    "one without an input": "keras.Sequential([L.Flatten(), L.Dense(n)])",
    "a subclassed one": "Net(n)",
}
MISFITS = {
    "body(s, L.Dense(n + 1))": r"maps \(None, 5, 4\) to \(None, 4\); the data need .* to \(None, 3\)",
    "None": r"built a NoneType; allowed is a model of tf_keras or Keras 3, which the function has to return",
    "3": r"built a int; allowed is a model of tf_keras or Keras 3:",
    "__import__('keras').Sequential([])": r"cannot be built for images",
    "ends(s, lambda x: {'scores': x})": r"gives a dict of 1; allowed is one tensor",
    "ends(s, lambda x: [x, x])": r"gives a list of 2; allowed is one tensor",
    "body(s)": r"no parameters",
    "frozen(s)": r"has all its 63 parameters frozen",
    "body(s, L.Dense(n), dtype='uint8')": r"takes uint8; allowed is float32",
    "body(s, L.Dense(n), batch=2)": r"takes 2 images at a time; leave the batch size free",
    "body(s, L.Dense(n, kernel_initializer=keras.initializers.Constant(np.nan)))": r"12 of 12 logits .* not finite",
    "body(s, L.Lambda(lambda x: tf.math.log(x - 2.0)), L.Dense(n))": r"12 of 12 logits that are not finite",
    "1 / 0": r"cannot be built for .*: mine\.py, line \d+: ZeroDivisionError: division by zero\.",
    "sys.exit(0)": r"mine\.py, line \d+: sys\.exit: 0\.",
    "keras.Sequential([Frozen(n)])": r"mine\.py, line 16: RuntimeError: .*no",
    "body(s, L.Reshape((5, 4, 1)), L.Conv2D(2, 9))": r"mine\.py, line \d+: ValueError: .*dimensions",
    "body(s, L.Dense(n, activation='relu'), L.Lambda(lambda x: tf.exp(x) / tf.reduce_sum(tf.exp(x), 1, True)))": (
        r"gives probabilities, but logits are needed"
    ),
}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a module of the user's own whose function `build` returns that expression."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)

    def write(expression: str) -> str:
        text = f"{MINE}\ndef build(s, n):\n    return {expression}\n"
        (tmp_path / "mine.py").write_text(text, encoding="utf-8")
        return "mine:build"

    return write


def test_the_default_network_has_the_reference_parameters() -> None:
    model = networks.build("small_cnn", (28, 28), 10)
    aware = qat.annotate(model)
    assert (model.count_params(), aware.count_params()) == (20_410, 20_448)
    assert sum(int(variable.shape.num_elements()) for variable in aware.non_trainable_variables) == 38


@pytest.mark.parametrize("name", sorted(networks.BUILDERS))
@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3)])
def test_builders_take_grey_and_colour_images(name: str, shape: tuple[int, ...]) -> None:
    model = networks.build(name, shape, 7)
    assert (model.input_shape, model.output_shape) == ((None, *shape), (None, 7))


@pytest.mark.parametrize("shape", [(16,), (4, 8, 8, 1)])
def test_examples_that_are_no_images_need_a_network_of_the_users_own(shape: tuple[int, ...]) -> None:
    with pytest.raises(ParamsError, match=r"is for images \(H, W\) or .* Build one of your own: build"):
        networks.build("small_cnn", shape, 3)


def test_images_too_small_for_a_network_are_told(mine: Callable[[str], str]) -> None:
    with pytest.raises(ParamsError, match=r"Network 'cnn4' cannot be built for images \(2, 2\) and 10 classes: Value"):
        networks.build("cnn4", (2, 2), 10)


@pytest.mark.parametrize("kind", BUILT)
def test_a_builder_of_the_users_own(kind: str, mine: Callable[[str], str]) -> None:
    model = networks.build(mine(BUILT[kind]), SHAPE, CLASSES)
    assert model.count_params() == 5 * 4 * 3 + 3
    assert model(np.zeros((2, *SHAPE), np.float32)).shape == (2, CLASSES)


@pytest.mark.parametrize("expression", MISFITS)
def test_whatever_else_a_builder_does_is_told_in_a_sentence(expression: str, mine: Callable[[str], str]) -> None:
    with pytest.raises(ParamsError, match=MISFITS[expression]) as caught:
        networks.build(mine(expression), SHAPE, CLASSES)
    assert str(caught.value).startswith("Network 'mine:build' ")
    assert "\n" not in str(caught.value)


def test_one_score_for_two_classes_is_told(mine: Callable[[str], str]) -> None:
    with pytest.raises(ParamsError, match="a score for each of the two classes, not one for both"):
        networks.build(mine("body(s, L.Dense(1, activation='sigmoid'))"), SHAPE, 2)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("mine:absent", "x = 1", r"in mine, 'absent' must be a function, but there is no such name"),
        ("mine:x", "x = 1", r"'x' must be a function, but it is a int"),
        ("mine:build", "def build(shape): ...", r"takes other arguments \(too many positional arguments\)"),
        ("mine:build", "def build(:", r"mine\.py, line 1: SyntaxError"),
        ("mine:build", "import no_such_package", r"mine\.py, line 1: ModuleNotFoundError: .*no_such_package"),
        ("mine:build", "import sys\nsys.exit(0)", r"mine\.py, line 2: sys\.exit: 0"),
        ("yours:build", "", r"there is no module 'yours' here\. Give module:function"),
    ],
)
def test_what_cannot_be_imported_is_told(
    name: str, text: str, told: str, tmp_path: Path, mine: Callable[[str], str]
) -> None:
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    with pytest.raises(ParamsError, match=told):
        networks.build(name, SHAPE, CLASSES)


def test_an_unknown_builder_is_answered_with_the_known() -> None:
    with pytest.raises(ParamsError, match=r"Unknown network 'lenet'\. Known: small_cnn, .*resnet8, or module:function"):
        networks.build("lenet", (28, 28), 10)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize(
    "end",
    [
        "body(s, L.Dense(n, activation='KIND'))",
        "body(s, L.Dense(n), L.Activation('KIND'))",
        "body(s, L.Dense(n), L.Activation(tf.nn.KIND), L.Reshape((n,)))",
        "body(s, L.Dense(n), L.Lambda(tf.nn.KIND))",
        "ends(s, tf.nn.KIND)",
        "ends(s, L.Activation('KIND'))",
        "keras.Sequential([L.Input(s), body(s, L.Dense(n, activation='KIND'))])",
    ],
)
def test_a_last_activation_is_taken_off_and_nothing_else(end: str, kind: str, mine: Callable[[str], str]) -> None:
    """The weights are those of the network as written, and its own activation on the logits gives its outputs."""
    name = mine(end.replace("KIND", kind))
    images = np.random.default_rng(0).random((6, *SHAPE), dtype=np.float32)
    keras.utils.set_random_seed(0)
    model, squashing = networks.build_as_written(name, SHAPE, CLASSES)
    logits = model(images)
    assert squashing == kind
    assert (np.asarray(logits) < 0).any()
    keras.utils.set_random_seed(0)
    written = np.asarray(sys.modules["mine"].build(SHAPE, CLASSES)(images))
    np.testing.assert_allclose(getattr(keras.activations, kind)(logits), written, rtol=1e-6)


def test_softmax_as_a_layer_is_taken_off(mine: Callable[[str], str]) -> None:
    model, squashing = networks.build_as_written(mine("body(s, L.Dense(n), L.Softmax())"), SHAPE, CLASSES)
    assert (squashing, [type(layer).__name__ for layer in model.layers]) == ("softmax", ["Flatten", "Dense"])


@pytest.mark.parametrize(
    "end",
    [
        "body(s, L.Dense(n))",
        "body(s, L.Dense(n, activation='tanh'))",
        "keras.Sequential([L.Input(s), L.LSTM(n, activation='sigmoid')])",  # it is inside the recurrence
        "ends(s, lambda x: x * tf.nn.softmax(x))",
        "ends(s, tf.nn.log_softmax)",
    ],
)
def test_other_ends_are_left_alone(end: str, mine: Callable[[str], str]) -> None:
    assert networks.build_as_written(mine(end), SHAPE, CLASSES)[1] is None
