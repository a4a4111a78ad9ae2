"""Two files are twins if they hold the same integers, however their formats store them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from octavo.backends import model_files
from octavo.evaluation import integer_coverage, twins
from octavo.evaluation.scorecard import Evaluation
from tests.litert_files import OUT_SCALE, OUT_ZERO, W_SCALE, WEIGHTS, Code, File, dense

UP = np.float32(1 + 2**-23)
"""A factor that changes the last place of a scale."""


@dataclass(frozen=True)
class Layer:
    """The dense layer of `litert_files.dense` in ONNX, where weights lie the other way round."""

    weights: np.ndarray = field(default_factory=lambda: WEIGHTS)
    """(outputs, inputs)."""
    scale: Any = W_SCALE
    zero: int = 0
    input_step: float = 1 / 255
    output_step: float | None = OUT_SCALE
    """None: the outputs are computed in float."""

    def write(self, path: Path) -> Path:
        scales = np.asarray(self.scale, np.float32)
        constants = {
            "w": self.weights.T.copy(),
            "ws": scales,
            "wz": np.full(scales.shape, self.zero, self.weights.dtype),
            "xs": np.float32(self.input_step),
            "xz": np.uint8(0),
            "ys": np.float32(self.output_step or 1),
            "yz": np.uint8(OUT_ZERO + 128),
        }
        end = "sum" if self.output_step is None else "y"
        nodes = [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("QuantizeLinear", ["flat", "xs", "xz"], ["xq"]),
            helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
            helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=1),
            helper.make_node("MatMul", ["xd", "wd"], ["sum"]),
            helper.make_node("QuantizeLinear", ["sum", "ys", "yz"], ["yq"]),
            helper.make_node("DequantizeLinear", ["yq", "ys", "yz"], ["y"]),
        ]
        return save(nodes[:5] if self.output_step is None else nodes, constants, end, path)


def save(nodes: list[onnx.NodeProto], constants: dict[str, Any], end: str, path: Path) -> Path:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 4])],
        [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def dynamic(path: Path) -> Path:
    """The layer with activations whose range is that of each run."""
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("DynamicQuantizeLinear", ["flat"], ["xq", "xs", "xz"]),
        helper.make_node("MatMulInteger", ["xq", "w", "xz"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["xs", "ws"], ["scale"]),
        helper.make_node("Mul", ["cast", "scale"], ["y"]),
    ]
    return save(nodes, {"w": WEIGHTS.T.copy(), "ws": np.float32(W_SCALE)}, "y", path)


def hybrid() -> File:
    """The same in LiteRT."""
    file = File()
    file.main.value("flat", [-1, 16])
    file.main.constant("w", WEIGHTS, scale=W_SCALE)
    file.main.value("y", [-1, 3])
    file.main.operator(Code.FULLY_CONNECTED, ["flat", "w", ""], ["y"], "FullyConnectedOptions", version=4)
    file.main.ends(["flat"], ["y"])
    return file


def doubled() -> File:
    """Twice the integers of one channel at half of its scale."""
    file = dense(np.float32, np.float32)
    weights = file.main.made.tensors[file.main.names.index("w")]
    factors = np.array([[1], [2], [1]])
    file.model.buffers[weights.buffer].data = np.frombuffer((HALVES * factors).astype(np.int8).tobytes(), np.uint8)
    weights.quantization.scale = np.float32(W_SCALE) / factors.ravel().astype(np.float32)
    weights.quantization.zeroPoint = [0] * 3
    return file


HALVES = WEIGHTS // 2
CHANGED = np.where(np.arange(48).reshape(3, 16) == 20, WEIGHTS - np.sign(WEIGHTS), WEIGHTS).astype(np.int8)


def measured(path: Path) -> Evaluation:
    """As much of an evaluation as the comparison needs."""
    known: dict[str, Any] = {
        "model": model_files.of(path),
        "integers": twins.integers(path),
        "proof": integer_coverage.prove(path, np.zeros((1, 4, 4), np.float32)),
    }
    return Evaluation.model_construct(**known)


def are_twins(layer: Layer, file: File, folder: Path) -> bool:
    one, other = measured(layer.write(folder / "one.onnx")), measured(file.write(folder / "other.tflite"))
    assert twins.are_twins(one, other) == twins.are_twins(other, one)
    return twins.are_twins(one, other)


def floats() -> File:
    return dense(np.float32, np.float32, scale=1 / 255)


@pytest.mark.parametrize(
    ("layer", "file"),
    [
        (Layer(), floats),
        (Layer(scale=[W_SCALE] * 3), floats),
        (Layer(weights=(WEIGHTS.astype(np.int16) + 128).astype(np.uint8), zero=128), floats),
        (Layer(scale=UP * np.float32(W_SCALE), output_step=float(UP * np.float32(OUT_SCALE))), floats),
        (Layer(weights=HALVES), doubled),
    ],
    ids=["transposed", "scale by channel", "uint8", "last places", "common divisor"],
)
def test_what_only_formats_store_in_another_way_makes_no_difference(
    layer: Layer, file: Callable[[], File], tmp_path: Path
) -> None:
    assert are_twins(layer, file(), tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": CHANGED},
        {"scale": 1.001 * W_SCALE},
        {"scale": [W_SCALE, W_SCALE, 1.001 * W_SCALE]},
        {"input_step": 1 / 254},
        {"output_step": 1.001 * OUT_SCALE},
        {"output_step": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_integers_make_no_pair(change: dict[str, Any], tmp_path: Path) -> None:
    assert (CHANGED != WEIGHTS).sum() == 1
    assert not are_twins(replace(Layer(), **change), floats(), tmp_path)


def test_float_outputs_are_compared_only_where_ranges_are_found_in_the_same_way(tmp_path: Path) -> None:
    in_onnx, in_litert = measured(dynamic(tmp_path / "one.onnx")), measured(hybrid().write(tmp_path / "other.tflite"))
    static = measured(Layer(output_step=None).write(tmp_path / "static.onnx"))
    assert in_litert.integers == in_onnx.integers
    assert twins.are_twins(in_onnx, in_litert)
    assert not twins.are_twins(static, in_litert)
    stored = in_litert.model_copy(update={"proof": in_litert.proof.model_copy(update={"integer_compute_share": 0.0})})
    assert not twins.are_twins(in_onnx, stored)


def test_two_files_of_one_format_can_be_a_pair_but_not_a_file_and_its_copy(tmp_path: Path) -> None:
    one, copy = (measured(Layer().write(tmp_path / f"{name}.onnx")) for name in ("one", "copy"))
    other = measured(Layer(scale=[W_SCALE] * 3).write(tmp_path / "other.onnx"))
    assert twins.are_twins(one, other)
    assert not twins.are_twins(one, copy)


def test_files_without_integers_are_no_pair(tmp_path: Path) -> None:
    file = File()
    file.main.value("x", [-1, 4, 4])
    file.main.value("y", [-1, 4, 4])
    file.main.operator(Code.RELU, ["x"], ["y"])
    file.main.ends(["x"], ["y"])
    nothing = measured(file.write(tmp_path / "float.tflite"))
    one = measured(Layer().write(tmp_path / "one.onnx"))
    float_onnx = one.model_copy(update={"integers": nothing.integers, "proof": nothing.proof})
    assert not twins.are_twins(float_onnx, nothing)
    assert not twins.are_twins(one.model_copy(update={"integers": None}), nothing)


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ([0.1, 0.2, 0.3], [0.1, 0.2], True),
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.4], False),
        ([0.1, 0.2, 0.0035, 1 / 255], [0.1, 0.2, 1 / 256], True),
        ([0.1, 0.2, 0.0035], [0.1, 0.2, 0.4, 1 / 256], True),
        ([0.1, 0.2, 0.0041], [0.1, 0.2, 0.4, 1 / 256], False),
        ([0.1, 0.2, 2 / 255], [0.1, 0.2, 1 / 128], True),
        ([0.1], [], False),
    ],
)
def test_one_file_may_fix_more_steps_and_litert_prescribes_some(
    mine: list[float], theirs: list[float], expected: bool, tmp_path: Path
) -> None:
    one = measured(Layer().write(tmp_path / "one.onnx"))
    other = measured(floats().write(tmp_path / "other.tflite"))
    for first, second in ((mine, theirs), (theirs, mine)):
        fixed = [
            card.model_copy(update={"integers": card.integers.model_copy(update={"steps": steps})})
            for card, steps in ((one, first), (other, second))
            if card.integers is not None
        ]
        assert twins.are_twins(*fixed) == expected


def test_a_constant_of_one_value_is_an_operator_elsewhere(tmp_path: Path) -> None:
    file = floats()
    file.main.constant("average", np.full((1, 2, 2, 3), 127, np.int8), scale=0.25 / 127)
    assert are_twins(Layer(), file, tmp_path)
    file.main.constant("more", np.arange(12, dtype=np.int8).reshape(1, 2, 2, 3), scale=0.25 / 127)
    assert not are_twins(Layer(), file, tmp_path)


def test_outputs_that_are_reshaped_come_from_the_same_integers(tmp_path: Path) -> None:
    model = onnx.load(Layer().write(tmp_path / "one.onnx"))
    model.graph.node[-1].output[0] = "moved"
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 3]), "shape"))
    model.graph.node.append(helper.make_node("Reshape", ["moved", "shape"], ["y"]))
    onnx.save(model, tmp_path / "one.onnx")
    one, other = measured(tmp_path / "one.onnx"), measured(floats().write(tmp_path / "other.tflite"))
    assert integer_coverage.output_step(tmp_path / "one.onnx") == pytest.approx(OUT_SCALE)
    assert twins.are_twins(one, other)
