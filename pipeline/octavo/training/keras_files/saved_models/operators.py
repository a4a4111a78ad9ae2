"""Which operators a brought graph may have: those that compute outputs from inputs and weights, and nothing else."""

import math
from pathlib import Path

from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef

from octavo.project.errors import ModelError

VARIABLES = ("VarHandleOp", "VariableV2")
_COMPUTING = """
    Abs Acos Acosh Add AddN AddV2 All Any ArgMax ArgMin Asin Asinh Atan Atan2 Atanh AvgPool AvgPool3D BatchMatMul
    BatchMatMulV2 BatchMatMulV3 BatchToSpaceND BiasAdd BroadcastArgs BroadcastTo Cast Ceil ClipByValue Concat ConcatV2
    Const Conv2D Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 Cos Cosh Cumprod Cumsum DepthToSpace
    DepthwiseConv2dNative Div DivNoNan Einsum Elu EnsureShape Equal Erf Erfc Exp ExpandDims Expm1
    FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel Fill Floor FloorDiv FloorMod
    FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd GatherV2 Greater GreaterEqual Identity IdentityN
    IsFinite IsInf IsNan L2Loss LRN LeakyRelu Less LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul
    MatrixBandPart Max MaxPool MaxPool3D MaxPoolV2 Maximum Mean Min Minimum MirrorPad Mod Mul Neg NoOp NotEqual OneHot
    OnesLike Pack Pad PadV2 Placeholder PlaceholderWithDefault Pow PreventGradient Prod Range Rank ReadVariableOp
    RealDiv Reciprocal Relu Relu6 Reshape ResizeBicubic ResizeBilinear ResizeNearestNeighbor ResourceGather ReverseV2
    Round Rsqrt Select SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign
    SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze StopGradient StridedSlice Sub Sum Tan
    Tanh Tile TopKV2 Transpose TruncateDiv Unpack ZerosLike
"""
COMPUTING = frozenset((*VARIABLES, *_COMPUTING.split()))
"""Operators without effect and without chance, which compute with numbers."""
CONTROL = (
    "Case", "Enter", "Exit", "If", "LoopCond", "Merge", "NextIteration", "StatelessCase", "StatelessIf",
    "StatelessWhile", "Switch", "While",
)  # fmt: skip
RANDOM = ("Random", "Multinomial", "ParameterizedTruncatedNormal", "StatelessRandom", "StatelessMultinomial")
"""Beginnings of the names of operators that give other values each time."""
HALVES = (types_pb2.DT_HALF, types_pb2.DT_BFLOAT16)
TYPES = {
    types_pb2.DT_FLOAT: 4, types_pb2.DT_DOUBLE: 8, types_pb2.DT_BOOL: 1, types_pb2.DT_RESOURCE: 1,
    types_pb2.DT_INT8: 1, types_pb2.DT_INT16: 2, types_pb2.DT_INT32: 4, types_pb2.DT_INT64: 8,
    types_pb2.DT_UINT8: 1, types_pb2.DT_UINT16: 2, types_pb2.DT_UINT32: 4, types_pb2.DT_UINT64: 8,
}  # fmt: skip
"""Types of the values that are computed with -> bytes of one. A resource is a variable that is read."""
NEXT = "Export the network without it, or bring it as .keras or ONNX."


def admit(node: NodeDef, folder: Path) -> int:
    """Check that the operator only computes, in float32 or with integers.

    Returns:
        The bytes that it takes, with the values of a constant.

    Raises:
        ModelError: it is not one of those, or is damaged. The message names the operator.
    """
    named = f"{folder} has an operator {node.op} ({node.name[:120]})"
    if node.op in CONTROL:
        raise ModelError(f"{named}, which is control flow. {NEXT}")
    if node.op.startswith(RANDOM):
        raise ModelError(f"{named}, which gives other values each time. Export the network for inference.")
    if node.op not in COMPUTING:
        raise ModelError(f"{named}, and only those that compute outputs from inputs are accepted. {NEXT}")
    for kind in _types(node):
        if kind not in TYPES:
            wrong = types_pb2.DataType.Name(kind) if kind in types_pb2.DataType.values() else str(kind)
            advice = "Export the network in float32." if kind in HALVES else NEXT
            raise ModelError(f"{named} on values of type {wrong.removeprefix('DT_').lower()}. {advice}")
    return node.ByteSize() + (_size(node, named) if node.op == "Const" else 0)


def _types(node: NodeDef) -> list[int]:
    attributes = [value for name, value in node.attr.items() if not name.startswith("_")]
    single = [value.type for value in attributes if value.WhichOneof("value") == "type"]
    return single + [kind for value in attributes if value.WhichOneof("value") == "list" for kind in value.list.type]


def _size(node: NodeDef, named: str) -> int:
    """Bytes of a constant's values. One value can stand for all, so that the file is small."""
    tensor = node.attr["value"].tensor
    sizes = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype not in TYPES or tensor.dtype != node.attr["dtype"].type or min(sizes, default=0) < 0:
        raise ModelError(f"{named}, which is damaged. Export the network again.")
    return math.prod(sizes) * TYPES[tensor.dtype]
