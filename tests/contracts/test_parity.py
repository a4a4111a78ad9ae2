"""Fake quantization in Keras, INT8 in ONNX and INT8 in LiteRT answer alike; what differs is explained to the last bit.

On MNIST's test images where OCTAVO_DATA names a folder with it, else on all digits.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from octavo.backends import model_files
from octavo.backends.litert.content import tensors
from octavo.backends.litert.kernels import default, others
from octavo.backends.registry import open_model
from octavo.data import sources
from octavo.data.input_encoding import encode
from octavo.data.splits import Samples, Split
from octavo.evaluation import integer_coverage, twins
from octavo.evaluation.parity import compare
from octavo.evaluation.scorecard import Evaluation
from octavo.project.params.data import Data
from octavo.quantization import recipes
from tests import integer_reference as reference
from tests.litert_files import Type
from tests.litert_parameters import with_litert_parameters

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REFERRED = 500
"""Images that the reference is asked: it takes its time."""


@dataclass(frozen=True)
class Chain:
    """The same network in all forms, and the logits of each."""

    name: str
    onnx: Path
    static: Path
    litert: Path
    converted: Path
    """LiteRT by TensorFlow's converter."""
    images: np.ndarray
    logits: dict[str, np.ndarray]

    def missed(self, one: str, other: str) -> int:
        """Images with another top-1 class."""
        parity = compare(self.logits[one], self.logits[other], None)
        return parity.n - parity.top1

    def allowed(self, in_10000: int) -> int:
        return math.ceil(in_10000 * len(self.images) / 10_000)


def run(path: Path, images: np.ndarray) -> np.ndarray:
    predict = open_model(path)
    return np.concatenate([predict(images[start : start + 250]) for start in range(0, len(images), 250)])


AT_NIGHT = [pytest.param(name, marks=pytest.mark.thorough) for name in ("cnn4", "depthwise_cnn")]
"""Day by day their layers are those of the others, and depthwise ones are drawn in `test_random_keras`."""


@pytest.fixture(scope="module", params=["small_cnn", "resnet8", *AT_NIGHT])
def chain(request: pytest.FixtureRequest, train_network: Callable[..., Path]) -> Chain:
    data = Data(source="mnist" if "OCTAVO_DATA" in os.environ else "digits")
    raw, folder = sources.load(data), train_network(request.param, data.source)
    samples = Samples(raw.train[0][300:800], Split(raw.train[0][:300], raw.train[1][:300]))
    files = {
        "onnx": "qat/onnx_int8_qat.onnx",
        "litert": "qat/litert_int8_qat.tflite",
        "converted": "qat/litert_int8_qat_tensorflow.tflite",
        "static": "fp32/onnx_int8_static.onnx",
    }
    made = {form: folder / file for form, file in files.items()}
    for path in made.values():
        recipes.quantize(path.stem, path.parent, path, samples, {})
    images = (raw.test or raw.train)[0]
    paths = made | {"exported": folder / "qat" / "model.onnx"}
    logits = {form: run(path, images) for form, path in paths.items()}
    logits["keras"] = np.load(folder / "qat" / "keras_logits.npy")
    return Chain(request.param, **made, images=images, logits=logits)


@pytest.mark.parametrize("form", ["onnx", "static"])
def test_onnxruntime_computes_what_the_reference_does(chain: Chain, form: str) -> None:
    path = chain.onnx if form == "onnx" else chain.static
    asked = encode(chain.images[:REFERRED])
    expected = reference.logits(onnx.load(path), asked, reference.ONNXRUNTIME)
    np.testing.assert_array_equal(chain.logits[form][:REFERRED], expected)


def test_litert_computes_what_the_reference_does(chain: Chain) -> None:
    """With the scales and the Add of LiteRT, nothing differs."""
    model = with_litert_parameters(onnx.load(chain.onnx), chain.litert)
    expected = reference.logits(model, encode(chain.images[:REFERRED]), reference.LITERT)
    np.testing.assert_array_equal(chain.logits["litert"][:REFERRED], expected)


def test_onnx_and_litert_answer_the_same_to_the_last_bit(chain: Chain) -> None:
    np.testing.assert_array_equal(chain.logits["onnx"], chain.logits["litert"])


def test_onnx_and_the_converters_file_choose_the_same_classes(chain: Chain) -> None:
    """The converter folds batch normalization elsewhere, and its sums keep the learned scale."""
    assert chain.missed("onnx", "converted") <= chain.allowed(5)


def test_logits_have_the_same_steps(chain: Chain) -> None:
    step = integer_coverage.output_step(chain.onnx)
    assert step is not None
    assert step == integer_coverage.output_step(chain.litert) == integer_coverage.output_step(chain.converted)
    assert compare(chain.logits["onnx"], chain.logits["converted"], step).largest < 2.5


def held(path: Path) -> Evaluation:
    """As much of an evaluation as the comparison needs."""
    known: dict[str, Any] = {
        "model": model_files.of(path),
        "integers": twins.integers(path),
        "proof": integer_coverage.prove(path, np.zeros((1, 28, 28), np.float32)),
    }
    return Evaluation.model_construct(**known)


def test_files_with_the_same_integers_are_recognised_until_one_weight_differs(chain: Chain, tmp_path: Path) -> None:
    assert twins.are_twins(held(chain.onnx), held(chain.litert))
    assert not twins.are_twins(held(chain.static), held(chain.litert))
    model = tensors.read(chain.litert.read_bytes())
    weights = max((tensor for tensor in model.subgraphs[0].tensors if tensor.type == Type.INT8), key=stored_in(model))
    values = tensors.array(model, weights, np.int8).copy()
    values.flat[values.size // 2] ^= 1
    tensors.store(model, weights, values)
    other = tmp_path / "model.tflite"
    other.write_bytes(tensors.write(model))
    assert not twins.are_twins(held(chain.onnx), held(other))


def stored_in(model: Any) -> Callable[[Any], int]:
    """The bytes that a tensor of the model stores."""
    return lambda tensor: 0 if (data := model.buffers[tensor.buffer].data) is None else len(data)


def test_other_kernels_differ_by_a_few_steps(chain: Chain) -> None:
    asked = chain.images[:REFERRED]
    found = others.outputs(chain.litert, open_model(chain.litert).feed(asked))
    for name, logits in found.items():
        assert not isinstance(logits, str), name
        step = integer_coverage.output_step(chain.litert)
        parity = compare(chain.logits["litert"][: len(asked)], logits, step)
        assert parity.largest < 2.5
        assert parity.equal is not None
        assert parity.equal > 0.5 * logits.size


def test_octavos_own_litert_files_run_in_one_part(chain: Chain, tmp_path: Path) -> None:
    """XNNPACK takes the whole graph, and the answers are those of the ONNX file."""
    raw = sources.load(Data(source="digits"))
    samples = Samples(raw.train[0][300:400], Split(raw.train[0][:300], raw.train[1][:300]))
    for recipe, exported in (("litert_int8_qat", chain.onnx.parent), ("litert_fp32", chain.static.parent)):
        path = tmp_path / f"{recipe}.tflite"
        recipes.quantize(recipe, exported, path, samples, {})
        assert default.name(path, open_model(path).feed(chain.images)) == "XNNPACK"
        if recipe == "litert_int8_qat":
            parity = compare(chain.logits["onnx"], run(path, chain.images), integer_coverage.output_step(path))
            assert parity.n == parity.top1
            assert parity.equal is not None
            assert parity.equal >= 0.999 * chain.logits["onnx"].size


def test_the_exported_network_stands_for_keras(chain: Chain) -> None:
    assert chain.missed("exported", "keras") <= chain.allowed(1)


def test_int8_chooses_as_keras_does(chain: Chain) -> None:
    """Biases in int32 round what Keras has in float, in all files: none is nearer than that, nor need be."""
    assert chain.missed("onnx", "keras") <= max(chain.allowed(4), chain.missed("converted", "keras") + chain.allowed(1))
