"""The operators of ONNX that have a form in LiteRT, and who writes it."""

from collections.abc import Callable

import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.onnx_graph import qdq
from octavo.quantization.litert.endings import ending
from octavo.quantization.litert.operators import (
    elementwise,
    layers,
    parts,
    pooling,
    resizing,
    rounding,
    shaping,
    transposed,
)
from octavo.quantization.litert.translation import Code, Translation, option

Translator = Callable[[Translation, onnx.NodeProto], None]


def gelu(translation: Translation, node: onnx.NodeProto) -> None:
    """Gelu, exact or with tanh."""
    end, order = ending(translation, node), translation.order(node.input[0])
    given = translation.tensor(node.input[0], order)
    options = option(schema.GeluOptionsT(), approximate=qdq.attribute(node, "approximate", b"none") == b"tanh")
    translation.call(Code.GELU, [given], [translation.hold(end.value, order)], options)


TABLE: dict[str, Translator] = {
    **dict.fromkeys(elementwise.BINARY, elementwise.binary),
    **dict.fromkeys(elementwise.COMPARISONS, elementwise.comparison),
    **dict.fromkeys(elementwise.UNARY, elementwise.unary),
    **dict.fromkeys(elementwise.FIXED, elementwise.fixed),
    **dict.fromkeys(pooling.REDUCTIONS, pooling.reduction),
    **dict.fromkeys(pooling.WHOLE, pooling.whole),
    **dict.fromkeys(("Celu", "Elu", "Mish", "Reciprocal", "Selu", "Softplus", "Softsign"), parts.activation),
    **dict.fromkeys(("Relu", "Clip"), elementwise.clip),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), shaping.reshape),
    **dict.fromkeys(("Identity", "Dropout"), shaping.identity),
    **dict.fromkeys(("MaxPool", "AveragePool"), pooling.pool),
    **dict.fromkeys(("Gemm", "MatMul"), layers.dense),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), shaping.depth_to_space),
    "BatchNormalization": parts.batch_normalization,
    "Cast": rounding.cast,
    "Concat": shaping.concat,
    "Conv": layers.convolution,
    "ConvTranspose": transposed.transposed_convolution,
    "DequantizeLinear": rounding.dequantize,
    "Expand": shaping.expand,
    "Gather": shaping.gather,
    "Gelu": gelu,
    "HardSigmoid": parts.hard_sigmoid,
    "InstanceNormalization": parts.instance_normalization,
    "LayerNormalization": parts.layer_normalization,
    "LeakyRelu": elementwise.leaky_relu,
    "LogSoftmax": parts.log_softmax,
    "PRelu": elementwise.prelu,
    "Pad": shaping.pad,
    "QuantizeLinear": rounding.quantize,
    "Resize": resizing.resize,
    "Slice": shaping.cut,
    "Softmax": parts.softmax,
    "Split": shaping.split,
    "Tile": shaping.tile,
    "Transpose": shaping.transpose,
    "Where": elementwise.choice,
}
