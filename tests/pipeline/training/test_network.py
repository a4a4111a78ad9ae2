"""Builders: names, the user's own, and what they must fit."""

from pathlib import Path

import pytest
import tf_keras as keras

from pipeline.errors import ModelError, ParamsError
from pipeline.training import network, qat

pytestmark = pytest.mark.slow


def test_the_default_network_has_the_reference_parameters() -> None:
    model = network.build("small_cnn", (28, 28), 10)
    aware = qat.annotate(model)
    assert (model.count_params(), aware.count_params()) == (20_410, 20_448)
    assert sum(int(variable.shape.num_elements()) for variable in aware.non_trainable_variables) == 38


@pytest.mark.parametrize("name", sorted(network.BUILDERS))
@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3)])
def test_builders_take_grey_and_colour_images(name: str, shape: tuple[int, ...]) -> None:
    model = network.build(name, shape, 7)
    assert (model.input_shape, model.output_shape) == ((None, *shape), (None, 7))


def test_a_builder_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "import tf_keras as keras\n"
        "def tiny(image_shape, classes):\n"
        "    return keras.Sequential([keras.layers.Input(image_shape), keras.layers.Flatten(),\n"
        "                             keras.layers.Dense(classes)])\n"
        "def wrong(image_shape, classes):\n"
        "    return tiny(image_shape, classes + 1)\n"
        "def nothing(image_shape, classes):\n"
        "    return None\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert network.build("mine:tiny", (5, 4), 3).count_params() == 5 * 4 * 3 + 3
    with pytest.raises(ParamsError, match=r"maps \(None, 5, 4\) to \(None, 4\); the data need .* to \(None, 3\)"):
        network.build("mine:wrong", (5, 4), 3)
    with pytest.raises(ParamsError, match="built a NoneType; allowed is a tf_keras model"):
        network.build("mine:nothing", (5, 4), 3)
    with pytest.raises(ParamsError, match=r"cannot be imported.*absent"):
        network.build("mine:absent", (5, 4), 3)


def test_an_unknown_builder_is_answered_with_the_known() -> None:
    with pytest.raises(ParamsError, match=r"Unknown network 'lenet'\. Known: small_cnn, .*resnet8, or module:function"):
        network.build("lenet", (28, 28), 10)


def test_a_layer_without_quantization_is_named() -> None:
    class Doubling(keras.layers.Layer):
        def call(self, inputs: object) -> object:
            return inputs * 2  # type: ignore[operator]

    model = keras.Sequential([keras.layers.Input((4,)), Doubling(), keras.layers.Dense(2)])
    with pytest.raises(ModelError, match="Doubling"):
        qat.annotate(model)
