"""A network that was trained with quantization elsewhere keeps what it learned, and answers as its file does."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings, strategies
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from octavo.backends.registry import open_model
from octavo.data.splits import Samples, Split
from octavo.evaluation import integer_coverage
from octavo.onnx_graph.foreign import bringing
from octavo.onnx_graph.foreign.comparison import Agreement
from octavo.project.errors import ModelError
from octavo.quantization import recipes
from octavo.statistics.signal_to_noise import decibels
from tests.conftest import EXAMPLES
from tests.octavo.onnx_graph.foreign.made import classifier, examples, model, node
from tests.octavo.onnx_graph.foreign.quantized import proof
from tests.octavo.onnx_graph.foreign.quantized.made import (
    AIMET,
    BREVITAS,
    PYTORCH,
    Builder,
    Style,
    drawn_network,
    residual,
)

INTEGERS = "integers/model.onnx"
TOLERANCE, AGREEMENT = 0.1, 0.85
"""Root mean square of the difference to fake quantization in float, relative to the outputs, and equal answers, for
activations in 8 bits. A step more or less at a tie is what differs."""


def brought(made: onnx.ModelProto, folder: Path) -> Agreement:
    """Bring a network into `folder`; the file is `given.onnx`."""
    onnx.save(made, folder / "given.onnx")
    return bringing.bring(folder / "given.onnx", folder / "network/model.onnx", examples())


def outputs(path: Path, images: np.ndarray, as_written: bool = False) -> np.ndarray:
    """As onnxruntime computes them by default, without the options that the file asks for; or without optimization."""
    options = onnxruntime.SessionOptions()
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": images})[0])


@pytest.mark.parametrize("form", ["transB", "gemm", "matmul", "transposed"])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("style", [PYTORCH, BREVITAS, AIMET], ids=["PyTorch", "Brevitas", "AIMET"])
def test_every_layer_computes_in_integers(style: Style, normalized: bool, form: str, tmp_path: Path) -> None:
    assert brought(residual(style, normalized=normalized, form=form), tmp_path).exact
    found = tmp_path / "network" / INTEGERS
    proof.holds(proof.read(found), proof.read(tmp_path / "given.onnx"), normalized)
    share = integer_coverage.prove(found)
    assert (share.float_nodes, share.integer_compute_share, share.integer_weight_share) == ([], 1, 1)
    images = examples(300)
    in_float, integer = open_model(tmp_path / "network/model.onnx")(images), outputs(found, images)
    assert decibels(float(np.mean(in_float**2)), float(np.mean((in_float - integer) ** 2))) > 30
    assert (in_float.argmax(1) == integer.argmax(1)).mean() > 0.98


@settings(max_examples=max(8, EXAMPLES // 4))
@given(seed=strategies.integers(0, 2**32 - 1))
def test_any_network_keeps_what_it_learned(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Law: scales, zero points and integers are those of the given file. If all of that runs in integers, the answers
    are the same bits; otherwise they are close to those of fake quantization in float.
    """
    folder = tmp_path_factory.mktemp("any")
    style, made = drawn_network(seed)
    brought(made, folder)
    found, images = folder / "network" / INTEGERS, examples(200)
    normalized = any(each.op_type == "BatchNormalization" for each in made.graph.node)
    proof.holds(proof.read(found), proof.read(folder / "given.onnx"), normalized)
    integer = outputs(found, images)
    if not integer_coverage.prove(folder / "given.onnx").float_nodes:
        assert np.array_equal(integer, outputs(folder / "given.onnx", images))
    in_float = open_model(folder / "network/model.onnx")(images)
    if style.activation_bits == 8:
        step = integer_coverage.output_step(found) or 0.0
        error, size = (float(np.sqrt(np.mean(each**2))) for each in (in_float - integer, in_float))
        assert error < max(TOLERANCE * size, step / 2)
        assert step or (in_float.argmax(1) == integer.argmax(1)).mean() > AGREEMENT


BLOCKS = np.full((1, 3, 8, 4), 0.02, np.float32)


class Reader(CalibrationDataReader):
    def __init__(self) -> None:
        self.left = [{"input": examples(16)}]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.left.pop() if self.left else None


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8], ids=["U8S8", "S8S8"])
def test_files_of_onnxruntime_give_the_same_bits(activations: QuantType, per_channel: bool, tmp_path: Path) -> None:
    onnx.save(classifier(), tmp_path / "float.onnx")
    quant_pre_process(tmp_path / "float.onnx", tmp_path / "ready.onnx", skip_symbolic_shape=True)
    quantize_static(
        tmp_path / "ready.onnx",
        tmp_path / "given.onnx",
        Reader(),
        quant_format=QuantFormat.QDQ,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )
    agreement = brought(onnx.load(tmp_path / "given.onnx"), tmp_path)
    found, images = tmp_path / "network" / INTEGERS, examples(300)
    proof.holds(proof.read(found), proof.read(tmp_path / "given.onnx"), False)
    assert np.array_equal(outputs(found, images), outputs(tmp_path / "given.onnx", images))
    assert agreement.remarks[-1] == "onnx_int8_qat gives bit for bit the outputs of the given file on 40 examples."
    assert integer_coverage.prove(found).float_nodes == []


@pytest.mark.parametrize(
    "style",
    [
        Style("integers", weight_type=np.uint8, weight_zero=120, weight_bits=7, per_channel=False),
        Style("integers", weight_zero=5, weight_bits=7, biases="int8"),
        Style("float", zeros_written=False, biases="none", activations=np.int8, symmetric=True),
        Style("clipped", weight_bits=4, activation_bits=4, power_of_two=True, biases="int32"),
    ],
    ids=["uint8 weights", "int8 weights with zero points", "no zero points written", "four bits"],
)
def test_other_styles(style: Style, tmp_path: Path) -> None:
    assert brought(residual(style), tmp_path).exact
    found = tmp_path / "network" / INTEGERS
    proof.holds(proof.read(found), proof.read(tmp_path / "given.onnx"), False)
    assert integer_coverage.prove(found).integer_compute_share == 1


def test_what_is_kept_in_another_form_and_what_was_not_learned_is_said(tmp_path: Path) -> None:
    made = Builder(Style("clipped", weight_bits=4, biases="int8", activations=np.int8, activation_bits=4))
    first = made.conv(made.pair("input", 4.0), 3, 4)
    free = made.add("Sigmoid", made.conv(made.pair(made.relu(first), positive=True), 4, 4))
    made.constants["w"] = np.full((4, 4, 1, 1), 0.1, np.float32)
    last = made.conv(made.add("Conv", free, "w"), 4, 5)
    agreement = brought(made.done(made.add("Flatten", made.add("GlobalAveragePool", last))), tmp_path)
    said = " ".join(agreement.remarks)
    for part in (
        "scales and zero points of 2 activations; scales, zero points and integers of the weights of 3 layers.",
        "2 int8 activations become uint8, with the same scale and a zero point that is 128 higher",
        "2 biases in integers at a scale of their own become int32",
        "The weights of /Conv",
        "use 4 bits. They are stored in 8.",
        "2 activations keep to a part of their range by a Clip on integers",
        "has float weights in /Conv",
        "has no range for the input of /Conv",
        "has no range for the output of /Conv",
    ):
        assert part in said, (part, said)


def test_integers_of_a_network_go_with_it(tmp_path: Path) -> None:
    brought(residual(PYTORCH), tmp_path)
    first = (tmp_path / "network" / INTEGERS).read_bytes()
    brought(residual(PYTORCH), tmp_path)
    assert (tmp_path / "network" / INTEGERS).read_bytes() == first
    brought(classifier(), tmp_path)
    assert not (tmp_path / "network" / INTEGERS).exists()


def test_layers_without_an_integer_kernel_compute_in_float_and_are_named(tmp_path: Path) -> None:
    made = Builder(PYTORCH)
    grown = made.pair(made.add("ConvTranspose", made.pair("input", 4.0), made.stored((3, 4, 3, 3), 1)[0]))
    crossed = made.add("MatMul", made.add("Flatten", grown), made.stored((400, 5), 0)[0])
    agreement = brought(made.done(crossed), tmp_path)
    said = " ".join(agreement.remarks)
    assert "onnxruntime has no integer kernel for /ConvTranspose" in said
    assert "have scales, but not for output channels, so they compute in float" in said
    images, network = examples(100), tmp_path / "network/model.onnx"
    assert np.allclose(open_model(network)(images), outputs(tmp_path / "network" / INTEGERS, images), atol=1e-3)


@pytest.mark.parametrize("between", ["Relu", "Identity"])
@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_two_roundings_in_a_row_stay_two(kind: type[np.integer[Any]], between: str, tmp_path: Path) -> None:
    """Of two in a row onnxruntime makes one, with another grid. With an Identity between them it does so
    to the given file, too.
    """
    random = np.random.default_rng(0)
    shift = 128 if kind is np.uint8 else 0
    arrays = {
        "w": random.integers(-127, 128, (16, 8)).astype(np.int8), "ws": np.float32(0.01), "wz": np.int8(0),
        "s0": np.float32(0.02), "z0": kind(shift), "s1": np.float32(0.05), "z1": kind(shift + 112),
        "s2": np.float32(0.01), "z2": kind(shift - 128),
    }  # fmt: skip
    steps = [("input", "a", "0"), ("m", "b", "1"), ("r", "y", "2")]
    pairs = {
        source: [
            helper.make_node("QuantizeLinear", [source, f"s{n}", f"z{n}"], [f"{result}q"]),
            helper.make_node("DequantizeLinear", [f"{result}q", f"s{n}", f"z{n}"], [result]),
        ]
        for source, result, n in steps
    }
    nodes = [
        *pairs["input"],
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wf"]),
        helper.make_node("MatMul", ["a", "wf"], ["m"]),
        *pairs["m"],
        helper.make_node(between, ["b"], ["r"]),
        *pairs["r"],
    ]
    ends = [helper.make_tensor_value_info(name, 1, ["n", size]) for name, size in (("input", 16), ("y", 8))]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    given = tmp_path / "given.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), given)
    examples = random.normal(size=(64, 16)).astype(np.float32)
    bringing.bring(given, tmp_path / "out" / "model.onnx", examples)
    got = outputs(tmp_path / "out" / "integers" / "model.onnx", examples)
    np.testing.assert_array_equal(got, outputs(given, examples, as_written=True))
    if between == "Relu":
        np.testing.assert_array_equal(got, outputs(given, examples))


def test_recipes_start_from_its_float_form_or_from_its_integers(tmp_path: Path) -> None:
    brought(residual(PYTORCH), tmp_path)
    images = np.clip(examples(80) / 8 + 0.5, 0, 1).astype(np.float32)
    samples = Samples(images, Split(images, np.zeros(len(images), np.int64)))
    for recipe, share in (("onnx_fp32", 0), ("onnx_fp16", 0), ("onnx_int8_qat", 1)):
        for options in ({}, {"take_bytes": True}):
            target = tmp_path / f"{recipe}{len(options)}" / "model.onnx"
            figures = recipes.quantize(recipe, tmp_path / "network", target, samples, options)
            assert figures.agreement > 0.95
            assert (figures.clipped_weights, figures.unmatched_weights, figures.clipped_biases) == (0, 0, 0)
            assert integer_coverage.prove(target).integer_compute_share == share
    sizes = [(tmp_path / f"{recipe}0/model.onnx").stat().st_size for recipe in ("onnx_int8_qat", "onnx_fp32")]
    assert sizes[0] < 0.6 * sizes[1]


def dense(opset: int = 21, output_dtype: int = 0, **parameters: np.ndarray | onnx.TensorProto) -> onnx.ModelProto:
    """One dense layer whose input is rounded with a `scale` and perhaps a `zero`, with `w` as integers.

    Args:
        opset: of the network.
        output_dtype: of the QuantizeLinear.
        parameters: to replace or to add.
    """
    pair = [name for name in ("scale", "zero") if name in parameters or name == "scale"]
    stored: dict[str, np.ndarray | onnx.TensorProto] = {"w": np.ones((192, 5), np.int8)}
    stored |= {"ws": np.array(0.01, np.float32), "scale": np.array(0.02, np.float32)} | parameters
    blocks: dict[str, Any] = {"block_size": 2, "axis": 3} if stored["scale"] is BLOCKS else {}
    kind: dict[str, Any] = {"output_dtype": output_dtype} if output_dtype else {}
    nodes = [
        node("QuantizeLinear", ["input", *pair], ["q"], name="/quantizer", **blocks, **kind),
        node("DequantizeLinear", ["q", *pair], ["d"], **blocks),
        node("DequantizeLinear", ["w", "ws"], ["real"]),
        node("Flatten", ["d"], ["f"]),
        node("MatMul", ["f", "real"], ["output"]),
    ]
    made = model(nodes, {}, opset=opset)
    made.graph.initializer.extend(
        numpy_helper.from_array(each, name) if isinstance(each, np.ndarray) else each for name, each in stored.items()
    )
    return made


def computed() -> onnx.ModelProto:
    made = dense()
    made.graph.initializer.remove(next(each for each in made.graph.initializer if each.name == "scale"))
    made.graph.node.insert(0, node("ReduceMax", ["input"], ["scale"], keepdims=0))
    return made


def only_weights() -> onnx.ModelProto:
    nodes = [node("DequantizeLinear", ["w", "s"], ["r"]), node("Flatten", ["input"], ["f"])]
    constants: dict[str, np.ndarray] = {"w": np.ones((192, 5), np.int8), "s": np.array(0.01, np.float32)}
    return model([*nodes, node("MatMul", ["f", "r"], ["output"])], constants)


FOUR_BITS = helper.make_tensor("w", TensorProto.INT4, [192, 5], np.ones(960, int))
FLOAT8 = helper.make_tensor("zero", TensorProto.FLOAT8E4M3FN, [], [0.0])


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            dense(zero=np.array(0, np.int16)),
            "quantization to int16 at QuantizeLinear /quantizer. Octavo keeps int8",
        ),
        (dense(zero=np.array(9, np.uint16)), "quantization to uint16"),
        (dense(output_dtype=TensorProto.UINT16), "quantization to uint16"),
        (dense(w=FOUR_BITS), "quantization to int4 at DequantizeLinear"),
        (dense(zero=FLOAT8), "values in float8e4m3fn"),
        (dense(scale=BLOCKS), "scales in blocks"),
        (dense(scale=np.array(0, np.float32)), "a scale that is not a positive number"),
        (dense(scale=np.array(np.nan, np.float32)), "NaN"),
        (computed(), "a scale or zero point that is computed"),
        (only_weights(), "is quantized already: it has weights in integers. Give the float model of it."),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(made: onnx.ModelProto, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said):
        brought(made, tmp_path)
    assert not (tmp_path / "network/model.onnx").exists()
