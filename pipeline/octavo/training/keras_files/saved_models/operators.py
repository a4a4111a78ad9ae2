"""Which operators a brought graph may have: those that compute outputs from inputs and weights, and nothing else."""

import math
from collections.abc import Iterable
from pathlib import Path

from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef

from octavo.project.errors import ModelError
from octavo.training.frozen_graph import LIMIT

LONGEST = 120
"""Characters of a name that a message shows."""
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
SHOWN = 4
"""Operators that a message lists."""


def check(nodes: Iterable[NodeDef], folder: Path) -> None:
    """Check that operators only compute, in float32 or with integers.

    Raises:
        ModelError: some are not among those, or constants are damaged or too large. The message names the operators.
    """
    nodes = list(nodes)
    for wrong, reason in (
        (_does_more, f"and only those that compute outputs from inputs are accepted. {NEXT}"),
        (_is_random, "and a network gives the same values each time. Export the network for inference."),
        (_is_control, f"and control flow is not accepted. {NEXT}"),
    ):
        if found := {node.op: f"{node.op} ({node.name[:LONGEST]})" for node in nodes if wrong(node)}:
            what = "an operator" if len(found) == 1 else "operators"
            raise ModelError(f"{folder} has {what} {', '.join([*found.values()][:SHOWN])}, {reason}")
    for node in nodes:
        _check_types(node, folder)
    size = sum(_size(node, folder) for node in nodes if node.op == "Const")
    if size > LIMIT:
        raise ModelError(
            f"The constants in {folder} have {size:,} bytes, and at most {LIMIT:,} are read. Bring it as ONNX."
        )


def _does_more(node: NodeDef) -> bool:
    return not (node.op in COMPUTING or _is_random(node) or _is_control(node))


def _is_random(node: NodeDef) -> bool:
    return node.op.startswith(RANDOM)


def _is_control(node: NodeDef) -> bool:
    return node.op in CONTROL


def _check_types(node: NodeDef, folder: Path) -> None:
    attributes = [value for name, value in node.attr.items() if not name.startswith("_")]
    kinds = [value.type for value in attributes if value.WhichOneof("value") == "type"]
    kinds += [kind for value in attributes if value.WhichOneof("value") == "list" for kind in value.list.type]
    for kind in kinds:
        if kind not in TYPES:
            wrong = types_pb2.DataType.Name(kind) if kind in types_pb2.DataType.values() else str(kind)
            raise ModelError(
                f"{folder} has an operator {node.op} ({node.name[:LONGEST]}) on values of type "
                f"{wrong.removeprefix('DT_').lower()}. {'Export the network in float32.' if kind in HALVES else NEXT}"
            )


def _size(node: NodeDef, folder: Path) -> int:
    """Bytes of a constant's values. One value can stand for all, so that the file is small."""
    tensor = node.attr["value"].tensor
    sizes = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype not in TYPES or tensor.dtype != node.attr["dtype"].type or min(sizes, default=0) < 0:
        raise ModelError(f"Constant {node.name[:LONGEST]} in {folder} is damaged. Export the network again.")
    return math.prod(sizes) * TYPES[tensor.dtype]
