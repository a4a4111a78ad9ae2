"""The operators of ONNX that have a form in LiteRT, and who writes it."""

from collections.abc import Callable

import onnx

from octavo.quantization.litert.operators import (
    activations,
    elementwise,
    layers,
    parts,
    pooling,
    resizing,
    rounding,
    shaping,
    slicing,
    transposed,
)
from octavo.quantization.litert.translation import Translation

Translator = Callable[[Translation, onnx.NodeProto], None]


TABLE: dict[str, Translator] = {
    **dict.fromkeys(elementwise.BINARY, elementwise.binary),
    **dict.fromkeys(elementwise.COMPARISONS, elementwise.comparison),
    **dict.fromkeys(activations.UNARY, activations.unary),
    **dict.fromkeys(activations.FIXED, activations.fixed),
    **dict.fromkeys(pooling.REDUCTIONS, pooling.reduction),
    **dict.fromkeys(pooling.WHOLE, pooling.whole),
    **dict.fromkeys(("Celu", "Elu", "Mish", "Reciprocal", "Selu", "Softplus", "Softsign"), parts.activation),
    **dict.fromkeys(("Relu", "Clip"), activations.clip),
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
    "Gather": slicing.gather,
    "Gelu": activations.gelu,
    "HardSigmoid": parts.hard_sigmoid,
    "InstanceNormalization": parts.instance_normalization,
    "LayerNormalization": parts.layer_normalization,
    "LeakyRelu": activations.leaky_relu,
    "LogSoftmax": parts.log_softmax,
    "PRelu": activations.prelu,
    "Pad": slicing.pad,
    "QuantizeLinear": rounding.quantize,
    "Resize": resizing.resize,
    "Slice": slicing.cut,
    "Softmax": parts.softmax,
    "Split": slicing.split,
    "Tile": shaping.tile,
    "Transpose": shaping.transpose,
    "Where": elementwise.choice,
}
