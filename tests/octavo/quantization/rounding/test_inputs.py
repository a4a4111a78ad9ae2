"""The bytes of an image become the same integers in onnxruntime and in both of LiteRT's kernel sets."""

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import OpResolverType
from onnx import TensorProto, helper, numpy_helper

from octavo.backends.onnxruntime.intermediate_outputs import open_probe
from octavo.data.input_encoding import encode
from octavo.onnx_graph import qdq
from octavo.onnx_graph.rewrites import network_input
from octavo.project.params.encoding import InputEncoding
from octavo.quantization.litert.writing import write
from octavo.quantization.rounding import inputs
from tests.octavo.quantization.litert.running import answers

BYTES = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
IMAGENET = InputEncoding(mean=(0.485,), std=(0.229,))
SIGNED = InputEncoding(scale=127.5, mean=(1.0,))


def rounded(scale: float, zero: int, encoding: InputEncoding) -> onnx.ModelProto:
    """A network that only rounds its image."""
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "scale", "zero"], ["integers"]),
        helper.make_node("DequantizeLinear", ["integers", "scale", "zero"], ["rounded"]),
        helper.make_node("MaxPool", ["rounded"], ["logits"], kernel_shape=[1]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 16, 16]) for name in ("images", "logits")]
    stored = [
        numpy_helper.from_array(np.array(scale, np.float32), "scale"),
        numpy_helper.from_array(np.array(zero, np.uint8), "zero"),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    network_input.declare(model, encoding)
    return model


def apart(model: onnx.ModelProto) -> int:
    """Bytes that LiteRT rounds to another step than onnxruntime does, counted once for each of its kernel sets."""
    images = encode(BYTES, network_input.encoding(model))
    expected = open_probe(model).run(None, {"images": images})[0]
    content = write(model, images.shape[1:]).content
    step = float(qdq.initializers(model)[model.graph.node[1].input[1]])
    return sum(
        int((np.abs(answers(content, images, kernels) - expected) > step / 2).sum())
        for kernels in (OpResolverType.AUTO, OpResolverType.BUILTIN_REF)
    )


@pytest.mark.parametrize(
    ("scale", "zero", "encoding"),
    [
        (2 / 255, 0, InputEncoding()),
        (1 / 170, 0, InputEncoding()),
        (1 / 255, 0, InputEncoding()),
        (2 / 255, 128, SIGNED),
        (4.7 / 255, 115, IMAGENET),
    ],
)
def test_a_settled_scale_rounds_every_byte_alike(scale: float, zero: int, encoding: InputEncoding) -> None:
    model = rounded(scale, zero, encoding)
    inputs.settle(model)
    assert apart(model) == 0
    for node in model.graph.node[:2]:
        assert abs(float(qdq.initializers(model)[node.input[1]]) / scale - 1) < 2e-6


def test_without_it_bytes_in_the_middle_between_two_steps_are_rounded_apart() -> None:
    assert apart(rounded(2 / 255, 0, InputEncoding())) > 10
