"""Each operator computes in LiteRT what it computes in ONNX: in float, with stored weights, and in integers."""

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content import tensors
from octavo.backends.onnxruntime.intermediate_outputs import open_probe
from octavo.onnx_graph import qdq
from octavo.onnx_graph.integer_ranges import uint8_parameters
from octavo.onnx_graph.rewrites import network_input, preparation
from octavo.project.params.encoding import InputEncoding
from octavo.quantization import ptq
from octavo.quantization.litert.kernels import LITERT
from octavo.quantization.litert.writing import write
from octavo.quantization.recipes.onnx.fp16 import store_weights
from tests.octavo.quantization.litert.running import answers
from tests.octavo.quantization.litert.single_operators import CASES, built

CLOSE = 1e-5
"""Of the largest output."""
N = 48
TIES = 0.002
"""Largest share of values that lie so close to the middle between two steps that runtimes round them apart."""
ROUND_OTHERWISE = {
    "ADD": (0.01, 1),
    "AVERAGE_POOL_2D": (0.7, 2),
    "BATCH_MATMUL": (0.1, 2),
    "LEAKY_RELU": (0.1, 1),
    "PRELU": (0.01, 1),
    "REQUANTIZE": (0.2, 1),
    "RESIZE_BILINEAR": (0.5, 1),
    "SOFTMAX": (0.4, 1),
    "TRANSPOSE_CONV": (0.01, 1),
}
"""Operators whose integer kernels round otherwise than onnxruntime: share of the values, and steps.

XNNPACK rounds from one range to another with a factor of 8 bits. It averages in steps of the input. Others round
twice.
"""
LEFT_OUT = ("Flatten", "Greater", "Identity")
IN_FLOAT_ELSEWHERE = ("row gemm of columns", "transposed groups", "transposed depthwise", "volume transposed")
"""Layers whose float weights onnxruntime stores as integers when it loads the file."""
WRONG_ELSEWHERE = ("average pool ceil counted", "average pool ceil counted padded")
"""Averages whose integer kernel in onnxruntime divides the last windows by other counts than its float kernel."""
WITH_SHAPES = ("resize to sizes",)
"""Cases with values that are no activations, which `rounded` would round."""
CODES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


def prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    preparation.prepare(result)
    return result


def distance(expected: np.ndarray, got: np.ndarray) -> float:
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("case", CASES)
def test_it_computes_the_same_in_float(case: str) -> None:
    graph, value = built(case)
    images, expected = graph.values["images"], graph.values[value]
    content = write(prepared(graph.model()), images.shape[1:]).content
    for batch in (len(images), 1):
        assert distance(expected[:batch], answers(content, images[:batch])) < CLOSE


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith(("row", "transpose batch"))])
def test_it_takes_images_with_the_channels_last_if_the_network_declares_them_first(case: str) -> None:
    graph, value = built(case)
    images, expected = graph.values["images"], graph.values[value]
    model = prepared(graph.model())
    network_input.declare(model, InputEncoding(layout="channels_first"))
    content = write(model, images.shape[1:]).content
    assert distance(expected, answers(content, np.moveaxis(images, 1, -1))) < CLOSE
    assert tensors.metadata_of(tensors.read(content)) == {}


@pytest.mark.parametrize("form", ["fp16", "int8"])
@pytest.mark.parametrize("case", CASES)
def test_it_computes_the_same_with_stored_weights(case: str, form: str) -> None:
    graph, _ = built(case)
    images, model = graph.values["images"], prepared(graph.model())
    if form == "fp16":
        store_weights(model)
    else:
        qdq.store_for_float(model, qdq.OUTPUT_AXIS, qdq.nearest)
    expected = open_probe(model).run(None, {"images": images})[0]
    assert distance(expected, answers(write(model, images.shape[1:]).content, images)) < CLOSE


def rounded(case: str) -> tuple[onnx.ModelProto, np.ndarray]:
    """The case with every value that an operator computes rounded to uint8, and its input."""
    graph, _ = built(case, N)
    images, model = graph.values["images"], prepared(graph.model())
    readers = qdq.consumers(model)
    nodes = [node for node in model.graph.node if node.op_type not in (*qdq.MOVERS, *LEFT_OUT)]
    names = [node.output[0] for node in nodes if ptq.behind_clip(node, readers) == node.output[0]]
    seen = dict(zip(names, open_probe(model, names).run(names, {"images": images}), strict=True)) if names else {}
    fixed = {node.output[0]: LITERT.fixed[node.op_type] for node in nodes if node.op_type in LITERT.fixed}
    for name, values in (seen | {"images": images}).items():
        low, high = fixed.get(name, (min(float(values.min()), 0), max(float(values.max()), 0)))
        qdq.insert_pair(model, name, *uint8_parameters(low, high))
    ptq._round_constants(model, LITERT)
    qdq.store_integers(model, qdq.nearest, (), LITERT.layers)
    return model, images


@pytest.mark.parametrize("case", sorted(CASES.keys() - {*IN_FLOAT_ELSEWHERE, *WRONG_ELSEWHERE, *WITH_SHAPES}))
def test_it_computes_the_same_integers(case: str) -> None:
    model, images = rounded(case)
    content = write(model, images.shape[1:]).content
    last = [node for node in model.graph.node if node.op_type == "QuantizeLinear"][-1]
    step = qdq.initializers(model)[last.input[1]]
    expected = np.rint(open_probe(model).run(None, {"images": images})[0] / step)
    off = np.abs(np.rint(answers(content, images) / step) - expected)
    found = operators(content)
    share, steps = (max(ROUND_OTHERWISE.get(name, (TIES, 1))[place] for name in found) for place in range(2))
    assert (off > 0).mean() <= share, found
    assert (off > steps).mean() <= TIES, found


def operators(content: bytes) -> list[str]:
    """Names of the file's operators. A Quantize of integers is called Requantize."""
    model = tensors.read(content)
    (graph,) = model.subgraphs
    kinds = [graph.tensors[operator.inputs[0]].type for operator in graph.operators]
    names = [CODES[tensors.code(model, operator)] for operator in graph.operators]
    whole = schema.TensorType.INT8
    return [
        "REQUANTIZE" if (name, kind) == ("QUANTIZE", whole) else name for name, kind in zip(names, kinds, strict=True)
    ]
