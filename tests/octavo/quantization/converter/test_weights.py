"""Weights that LiteRT's converter leaves in float are stored as int8, once each, and the answers stay."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from octavo.backends.litert import inspection
from octavo.evaluation import integer_coverage
from octavo.quantization.converter.weights import compute_in_float, store_as_integers
from tests.litert_files import Code, File, Graph


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def run(content: bytes) -> np.ndarray:
    interpreter = Interpreter(model_content=content)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], floats(*source["shape"], seed=1))
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(target["index"]))


def dense(graph: Graph, source: str, target: str, weights: str) -> None:
    graph.operator(Code.FULLY_CONNECTED, [source, weights, ""], [target], "FullyConnectedOptions")


def two_dense() -> File:
    file = File()
    for name in ("x", "h", "y"):
        file.main.value(name, [1, 6])
    file.main.ends(["x"], ["y"])
    return file


def one_tensor_twice() -> File:
    file = two_dense()
    file.main.constant("w", floats(6, 6))
    dense(file.main, "x", "h", "w")
    dense(file.main, "h", "y", "w")
    return file


def one_buffer_twice() -> File:
    file = two_dense()
    file.main.constant("w", floats(6, 6))
    file.main.constant("v", floats(6, 6), like="w")
    dense(file.main, "x", "h", "w")
    dense(file.main, "h", "y", "v")
    return file


def read_as_data_too() -> File:
    """The weights are added, too: there they stay what they are."""
    file = File()
    file.main.value("x", [6, 6])
    file.main.value("h", [6, 6])
    file.main.value("y", [6, 6])
    file.main.constant("w", floats(6, 6))
    dense(file.main, "x", "h", "w")
    file.main.operator(Code.ADD, ["h", "w"], ["y"], "AddOptions")
    file.main.ends(["x"], ["y"])
    return file


def transposed() -> File:
    file = File()
    file.main.value("x", [1, 5, 5, 4])
    file.main.constant("shape", np.array([1, 11, 11, 6], np.int32))
    file.main.constant("w", floats(6, 3, 3, 4))
    file.main.value("y", [1, 11, 11, 6])
    stride: dict[str, Any] = {"padding": 1, "strideW": 2, "strideH": 2}
    file.main.operator(Code.TRANSPOSE_CONV, ["shape", "w", "x"], ["y"], "TransposeConvOptions", **stride)
    file.main.ends(["x"], ["y"])
    return file


def product(turned: bool) -> Callable[[], File]:
    def build() -> File:
        file = File()
        file.main.value("x", [1, 4, 6])
        file.main.constant("w", floats(1, 7, 6) if turned else floats(1, 6, 7))
        file.main.value("y", [1, 4, 7])
        file.main.operator(Code.BATCH_MATMUL, ["x", "w"], ["y"], "BatchMatMulOptions", adjX=False, adjY=turned)
        file.main.ends(["x"], ["y"])
        return file

    return build


CASES = {
    "one tensor, two layers": (one_tensor_twice, 36),
    "one buffer, two tensors": (one_buffer_twice, 36),
    "transposed convolution": (transposed, 6 * 9 * 4),
    "batched product": (product(turned=False), 42),
    "batched product, turned": (product(turned=True), 42),
}


@pytest.mark.parametrize("case", CASES)
def test_every_weight_is_stored_once_as_int8_and_read_once(case: str, tmp_path: Path) -> None:
    """The answers are those of the same weights rounded once, channel by channel: half a step in 127, at most."""
    build, elements = CASES[case]
    before = build().content()
    after = store_as_integers(before)
    path = tmp_path / "model.tflite"
    path.write_bytes(after)
    assert integer_coverage.prove(path).integer_weight_share == 1
    found = [each for each in inspection.parameters(path) if each.kind == "weight"]
    assert [(each.elements, each.file_bytes) for each in found] == [(elements, elements)]
    expected, got = run(before), run(after)
    assert 0 < np.abs(got - expected).max() < 0.02 * np.abs(expected).max()
    assert len(after) < len(before) + 600
    assert store_as_integers(after) == after


def test_what_reads_the_same_numbers_as_data_keeps_them(tmp_path: Path) -> None:
    before = read_as_data_too().content()
    path = tmp_path / "model.tflite"
    path.write_bytes(store_as_integers(before))
    kinds = {(each.integer, each.elements) for each in inspection.parameters(path)}
    assert kinds == {(True, 36), (False, 36)}
    assert np.abs(run(path.read_bytes()) - run(before)).max() < 0.1


def test_a_file_without_float_weights_is_left_as_it_is() -> None:
    file = two_dense()
    file.main.constant("w", np.ones((6, 6), np.int8), scale=0.1)
    dense(file.main, "x", "h", "w")
    dense(file.main, "h", "y", "w")
    content = file.content()
    assert store_as_integers(content) is content


def depthwise(twice: bool) -> File:
    """Depthwise convolutions whose weights are integers and whose data are not; two may read the same weights."""
    file = File()
    for name in ("x", "h", "y"):
        file.main.value(name, [1, 5, 5, 4])
    weights = np.rint(floats(1, 3, 3, 4) * 30).astype(np.int8)
    file.main.constant("w", weights, scale=[0.1, 0.2, 0.1, 0.3], axis=3)
    file.main.constant("b", floats(4))
    for source, target in (("x", "h"), ("h", "y"))[: 2 if twice else 1]:
        options: dict[str, Any] = {"strideW": 1, "strideH": 1, "depthMultiplier": 1, "padding": 0}
        options |= {"dilationWFactor": 1, "dilationHFactor": 1}
        file.main.operator(
            Code.DEPTHWISE_CONV_2D, [source, "w", "b"], [target], "DepthwiseConv2DOptions", version=6, **options
        )
    file.main.ends(["x"], ["y" if twice else "h"])
    return file


@pytest.mark.parametrize("twice", [False, True])
def test_operators_left_in_float_keep_integer_weights(twice: bool, tmp_path: Path) -> None:
    before = depthwise(twice).content()
    after = compute_in_float(before, [Code.DEPTHWISE_CONV_2D])
    shares = []
    for content in (before, after):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        shown = integer_coverage.prove(path)
        shares.append((shown.integer_weight_share, shown.integer_compute_share))
    assert shares == [(1, 1), (1, 0)]
    expected, got = run(before), run(after)
    assert 0 < np.abs(got - expected).max() < 0.03 * np.abs(expected).max()
    assert compute_in_float(after, [Code.DEPTHWISE_CONV_2D]) is after
    assert compute_in_float(before, [Code.CONV_2D]) is before
