"""Graphs of one operator each, or of the few that go together, in every form that the writer knows."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.contracts.eager_graph import Graph

Case = Callable[[Graph], str]
"""Adds operators to a graph with the input `images`, and returns the last value."""
IMAGE = (4, 9, 6)
"""Channels, height and width."""
SIGNAL, ROW, TOKENS, VOLUME = (4, 11), (12,), (5, 8), (2, 5, 4, 6)
SHAPES: Mapping[str, tuple[int, ...]] = {"signal": SIGNAL, "row": ROW, "tokens": TOKENS, "volume": VOLUME}
"""By the first word of a case the shape of its input; that of others is `IMAGE`."""


def drawn(graph: Graph, *shape: int, low: float | None = None) -> str:
    """A constant of that shape, normal; at least `low` if that is given."""
    values = graph.rng.normal(0, 0.5, shape)
    return graph.constant(values if low is None else np.abs(values) + low)


def one(operator: str, **attributes: Any) -> Case:
    return lambda graph: graph.add(operator, "images", **attributes)


def positive(operator: str) -> Case:
    return lambda graph: graph.add(operator, graph.add("Add", graph.add("Abs", "images"), graph.constant(0.5)))


def layer(operator: str, *weights: int, bias: int = 0, after: str = "", **attributes: Any) -> Case:
    """A layer with a bias of that many values, and perhaps an activation after it."""

    def add(graph: Graph) -> str:
        names = [drawn(graph, *weights), *([drawn(graph, bias)] if bias else [])]
        value = graph.add(operator, "images", *names, **attributes)
        if after == "Clip":
            return graph.add("Clip", value, graph.constant(0), graph.constant(6))
        if after == "Band":
            return graph.add("Clip", value, graph.constant(-0.3), graph.constant(0.7))
        return graph.add(after, value) if after else value

    return add


def with_constant(operator: str, *shape: int, first: bool = False, low: float | None = None) -> Case:
    def add(graph: Graph) -> str:
        names = ["images", drawn(graph, *shape, low=low)]
        return graph.add(operator, *(names[::-1] if first else names))

    return add


def with_numbers(operator: str, *numbers: Any, dtype: type = np.int64, **attributes: Any) -> Case:
    """An operator with constant inputs; None leaves one out."""

    def add(graph: Graph) -> str:
        names = ["" if number is None else graph.constant(number, dtype) for number in numbers]
        return graph.add(operator, "images", *names, **attributes)

    return add


def clip(low: float | None, high: float | None) -> Case:
    return with_numbers("Clip", low, high, dtype=np.float32)


def resize(mode: str, how: str, sizes: tuple[int, int] = (18, 12), **attributes: Any) -> Case:
    def add(graph: Graph) -> str:
        scales = graph.constant([1, 1, sizes[0] / IMAGE[1], sizes[1] / IMAGE[2]])
        more = {"coordinate_transformation_mode": how, **attributes}
        return graph.add("Resize", "images", "", scales, mode=mode, **more)

    return add


def sizes_beside_the_batch(graph: Graph, *sizes: int) -> str:
    """As PyTorch exports `interpolate(size=…)`: the batch and the channels are read from the shape."""
    outer = graph.add(
        "Slice", graph.add("Shape", "images"), graph.constant([0], np.int64), graph.constant([2], np.int64)
    )
    return graph.add("Concat", outer, graph.constant(sizes, np.int64), axis=0)


def joined(*others: str) -> Case:
    """Concat of the input with what these operators make of it: their ranges differ."""
    return lambda graph: graph.add("Concat", "images", *(graph.add(each, "images") for each in others), axis=1)


def split(graph: Graph) -> str:
    parts = graph.split("Split", 3, "images", graph.constant([1, 2, 1], np.int64), axis=1)
    return graph.add("Concat", parts[2], parts[0], graph.add("Relu", parts[1]), axis=1)


def attention(graph: Graph) -> str:
    queries, keys = (graph.add("MatMul", "images", drawn(graph, 8, 6)) for _ in range(2))
    scores = graph.add("MatMul", queries, graph.add("Transpose", keys, perm=[0, 2, 1]))
    return graph.add("MatMul", graph.add("Softmax", scores, axis=-1), "images")


def flattened(graph: Graph) -> str:
    """Features in the order of channels, height and width, read by a dense layer."""
    flat = graph.add("Flatten", graph.add("MaxPool", "images", kernel_shape=[2, 2], strides=[2, 2]))
    return graph.add("Gemm", flat, drawn(graph, 48, 5), drawn(graph, 5))


def batch_normalized(graph: Graph) -> str:
    names = [drawn(graph, 4), drawn(graph, 4), drawn(graph, 4), drawn(graph, 4, low=0.3)]
    return graph.add("BatchNormalization", "images", *names)


def in_the_middle(graph: Graph) -> str:
    """A squeeze, a transpose and a reshape between two convolutions of other shapes."""
    narrow = graph.add("Conv", "images", drawn(graph, 1, 4, 3, 3), drawn(graph, 1))
    bare = graph.add("Squeeze", narrow, graph.constant([1], np.int64))
    turned = graph.add("Transpose", bare, perm=[0, 2, 1])
    wide = graph.add("Reshape", turned, graph.constant([-1, 2, 2, 7], np.int64))
    return graph.add("Conv", wide, drawn(graph, 3, 2, 2, 3), drawn(graph, 3))


def shared(graph: Graph) -> str:
    """Two layers with the same weights and bias."""
    weights, bias = drawn(graph, 4, 4, 3, 3), drawn(graph, 4)
    first = graph.add("Conv", "images", weights, bias, pads=[1] * 4)
    return graph.add("Conv", graph.add("Tanh", first), weights, bias, pads=[1] * 4)


def uneven(graph: Graph) -> str:
    """A dead channel, one of tiny weights with a bias, and one of huge weights."""
    weights, bias = graph.rng.normal(size=(4, 4, 1, 1)), graph.rng.normal(size=4)
    weights[0], weights[1], weights[2] = 0, weights[1] * 1e-9, weights[2] * 1e5
    return graph.add("Conv", "images", graph.constant(weights), graph.constant(bias))


CONV: dict[str, Any] = {"bias": 5, "pads": [1, 1, 1, 1]}
LAYERS: Mapping[str, Case] = {
    "conv valid": layer("Conv", 5, 4, 3, 2, bias=5),
    "conv same": layer("Conv", 5, 4, 3, 3, **CONV),
    "conv no bias": layer("Conv", 5, 4, 3, 3, pads=[1, 1, 1, 1]),
    "conv strides": layer("Conv", 5, 4, 3, 3, strides=[2, 3], **CONV),
    "conv pads apart": layer("Conv", 5, 4, 3, 3, bias=5, strides=[2, 2], pads=[0, 1, 2, 0]),
    "conv same upper": layer("Conv", 5, 4, 2, 3, bias=5, strides=[2, 2], auto_pad="SAME_UPPER"),
    "conv same lower": layer("Conv", 5, 4, 2, 4, bias=5, strides=[1, 1], auto_pad="SAME_LOWER"),
    "conv dilated": layer("Conv", 5, 4, 3, 2, bias=5, dilations=[2, 3], pads=[2, 1, 2, 2]),
    "conv grouped": layer("Conv", 6, 2, 3, 3, bias=6, group=2, pads=[1] * 4),
    "conv depthwise": layer("Conv", 4, 1, 3, 3, bias=4, group=4, pads=[1] * 4),
    "conv depthwise multiplied": layer("Conv", 12, 1, 3, 2, bias=12, group=4, strides=[2, 2], pads=[1, 0, 0, 1]),
    "conv depthwise dilated": layer("Conv", 4, 1, 3, 3, bias=4, group=4, dilations=[2, 2], pads=[2] * 4),
    "conv relu": layer("Conv", 5, 4, 3, 3, after="Relu", **CONV),
    "conv relu6": layer("Conv", 5, 4, 3, 3, after="Clip", **CONV),
    "conv band": layer("Conv", 5, 4, 3, 3, after="Band", **CONV),
    "conv sigmoid": layer("Conv", 5, 4, 3, 3, after="Sigmoid", **CONV),
    "signal conv": layer("Conv", 5, 4, 3, bias=5, strides=[2], pads=[1, 1]),
    "signal conv dilated": layer("Conv", 6, 2, 3, bias=6, group=2, dilations=[2], pads=[4, 0]),
    "signal conv depthwise": layer("Conv", 4, 1, 3, bias=4, group=4),
    "row gemm": layer("Gemm", 12, 5, bias=5),
    "row gemm turned": layer("Gemm", 5, 12, bias=5, transB=1),
    "row gemm scaled": layer("Gemm", 12, 5, bias=5, alpha=0.5, beta=2.0),
    "row gemm of columns": lambda graph: graph.add(
        "Gemm", graph.add("Transpose", "images", perm=[1, 0]), drawn(graph, 12, 5), drawn(graph, 5), transA=1
    ),
    "row matmul": layer("MatMul", 12, 5),
    "row gemm relu": layer("Gemm", 12, 5, bias=5, after="Relu"),
    "tokens matmul": layer("MatMul", 8, 6),
    "uneven channels": uneven,
    "shared weights": shared,
    "flattened": flattened,
    "in the middle": in_the_middle,
    "transposed": layer("ConvTranspose", 4, 5, 3, 2, bias=5, strides=[2, 2]),
    "transposed same": layer("ConvTranspose", 4, 5, 3, 3, bias=5, strides=[2, 2], pads=[1, 1, 0, 0]),
    "transposed cropped": layer("ConvTranspose", 4, 5, 4, 3, bias=5, strides=[2, 1], pads=[1, 0, 2, 1]),
    "transposed groups": layer("ConvTranspose", 4, 3, 3, 2, bias=6, group=2, strides=[2, 1]),
    "transposed depthwise": layer("ConvTranspose", 4, 1, 2, 2, bias=4, group=4, strides=[2, 2]),
    "signal transposed": layer("ConvTranspose", 4, 5, 3, bias=5, strides=[2], pads=[1, 0]),
    "volume transposed": layer("ConvTranspose", 2, 3, 2, 1, 3, bias=3, strides=[2, 1, 2], pads=[0, 0, 1, 1, 0, 0]),
    "transposed no bias": layer("ConvTranspose", 4, 5, 2, 2, strides=[2, 2]),
}
"""Operators with weights."""
POOLS: Mapping[str, Case] = {
    "max pool": one("MaxPool", kernel_shape=[2, 3], strides=[2, 2]),
    "max pool padded": one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 1]),
    "max pool ceil": one("MaxPool", kernel_shape=[2, 2], strides=[2, 4], ceil_mode=1),
    "max pool ceil beyond": one("MaxPool", kernel_shape=[2, 2], strides=[3, 2], ceil_mode=1),
    "signal average pool ceil": one("AveragePool", kernel_shape=[2], strides=[3], pads=[1, 0], ceil_mode=1),
    "max pool lower": one("MaxPool", kernel_shape=[2, 2], strides=[1, 2], auto_pad="SAME_LOWER"),
    "average pool": one("AveragePool", kernel_shape=[2, 3], strides=[2, 1]),
    "average pool same": one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    "average pool padded": one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 1]),
    "average pool counted": one("AveragePool", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
    "average pool uneven": one("AveragePool", kernel_shape=[3, 2], pads=[0, 1, 1, 0], count_include_pad=1),
    "average pool ceil": one("AveragePool", kernel_shape=[2, 2], strides=[2, 4], ceil_mode=1),
    "average pool ceil counted": one(
        "AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1, count_include_pad=1
    ),
    "average pool ceil counted padded": one(
        "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 0, 1], ceil_mode=1, count_include_pad=1
    ),
    "volume max pool": one("MaxPool", kernel_shape=[2, 2, 3], strides=[2, 1, 2]),
    "volume average pool": one("AveragePool", kernel_shape=[1, 2, 2], strides=[1, 2, 2]),
    "average pool whole": one("AveragePool", kernel_shape=[9, 6]),
    "signal max pool": one("MaxPool", kernel_shape=[2], strides=[2], ceil_mode=1),
    "signal average pool": one("AveragePool", kernel_shape=[3], strides=[2], pads=[1, 0]),
    "global average": one("GlobalAveragePool"),
    "global max": one("GlobalMaxPool"),
    "signal global average": one("GlobalAveragePool"),
    "mean kept": one("ReduceMean", axes=[2, 3], keepdims=1),
    "mean dropped": one("ReduceMean", axes=[2, 3], keepdims=0),
    "mean of channels": one("ReduceMean", axes=[1], keepdims=0),
    "mean of height": one("ReduceMean", axes=[-2], keepdims=0),
    "sum": with_numbers("ReduceSum", [2], keepdims=0),
    "maximum": one("ReduceMax", axes=[1, 3], keepdims=1),
    "minimum": one("ReduceMin", axes=[3], keepdims=0),
    "product": one("ReduceProd", axes=[3], keepdims=0),
}
ELEMENTWISE: Mapping[str, Case] = {
    "add number": with_constant("Add"),
    "add channels": with_constant("Add", 4, 1, 1),
    "add columns": with_constant("Add", 6),
    "add plane": with_constant("Add", 9, 6),
    "add whole": with_constant("Add", 1, 4, 9, 6),
    "add itself": lambda graph: graph.add("Add", "images", graph.add("Neg", graph.add("Tanh", "images"))),
    "add means": lambda graph: graph.add("Add", "images", graph.add("GlobalAveragePool", "images")),
    "sub": with_constant("Sub", 4, 1, 1),
    "sub first": with_constant("Sub", 4, 1, 1, first=True),
    "mul": with_constant("Mul", 4, 1, 1),
    "mul number": with_constant("Mul"),
    "mul means": lambda graph: graph.add("Mul", "images", graph.add("GlobalAveragePool", "images")),
    "div": with_constant("Div", 9, 1, low=0.4),
    "div first": lambda graph: graph.add("Div", graph.constant(2), graph.add("Exp", "images")),
    "max": with_constant("Max", 6),
    "min": with_constant("Min", 1),
    "max of three": lambda graph: graph.add("Max", "images", drawn(graph, 6), drawn(graph, 4, 1, 1)),
    "pow": lambda graph: graph.add("Pow", "images", graph.constant(2)),
    "add relu": lambda graph: graph.add("Relu", graph.add("Add", "images", drawn(graph, 4, 1, 1))),
    "add relu6": lambda graph: graph.add(
        "Clip", graph.add("Add", "images", graph.constant(3)), graph.constant(0), graph.constant(6)
    ),
    "row add": with_constant("Add", 12),
    "row mul number": with_constant("Mul", 1),
    "where": lambda graph: graph.add(
        "Where", graph.add("Greater", "images", graph.constant(0.1)), "images", drawn(graph, 4, 1, 1)
    ),
    "prelu": with_constant("PRelu", 4, 1, 1, low=0.1),
    "prelu one slope": with_constant("PRelu", 1, low=0.1),
    "signal prelu": with_constant("PRelu", 4, 1, low=0.1),
    "row prelu": with_constant("PRelu", 12, low=0.1),
    "leaky relu": one("LeakyRelu", alpha=0.3),
    "relu": one("Relu"),
    "clip 0 to 6": clip(0, 6),
    "clip -1 to 1": clip(-1, 1),
    "clip any": clip(-0.3, 0.6),
    "clip below": clip(0.2, None),
    "clip above": clip(None, 0.4),
    "hard swish": one("HardSwish"),
    "hard swish in parts": lambda graph: graph.add(
        "Mul", "images", graph.add("HardSigmoid", "images", alpha=1 / 6, beta=0.5)
    ),
    "swish": lambda graph: graph.add("Mul", "images", graph.add("Sigmoid", "images")),
    "hard sigmoid": one("HardSigmoid", alpha=0.3, beta=0.4),
    "sigmoid": one("Sigmoid"),
    "tanh": one("Tanh"),
    "softmax of channels": one("Softmax", axis=1),
    "softmax": one("Softmax", axis=-1),
    "log softmax": one("LogSoftmax", axis=1),
    "row softmax": one("Softmax", axis=1),
    **{
        name.lower(): one(name)
        for name in [
            "Abs",
            "Ceil",
            "Celu",
            "Cos",
            "Elu",
            "Exp",
            "Floor",
            "Neg",
            "Round",
            "Selu",
            "Sign",
            "Sin",
            "Softplus",
            "Softsign",
        ]
    },
    "elu 0.4": one("Elu", alpha=0.4),
    "celu 0.4": one("Celu", alpha=0.4),
    "sqrt": positive("Sqrt"),
    "log": positive("Log"),
    "reciprocal": positive("Reciprocal"),
}
MOVERS: Mapping[str, Case] = {
    "concat": joined("Tanh", "Exp"),
    "concat with constant": lambda graph: graph.add("Concat", "images", graph.add("Neg", "images"), axis=-1),
    "concat rows": lambda graph: graph.add("Concat", "images", graph.add("Relu", "images"), axis=2),
    "split": split,
    "slice": with_numbers("Slice", [1, 0], [7, -1], [2, 3], [2, 1]),
    "slice channels": with_numbers("Slice", [-3], [2**31 - 1], [1]),
    "pad edge": lambda graph: graph.add(
        "Pad", "images", graph.constant([0, 0, 1, 0, 0, 0, 1, 1], np.int64), mode="edge"
    ),
    "resize to sizes": lambda graph: graph.add(
        "Resize", "images", "", "", sizes_beside_the_batch(graph, 18, 12), mode="nearest"
    ),
    "pad": lambda graph: graph.add("Pad", "images", graph.constant([0, 0, 1, 2, 0, 0, 3, 0], np.int64)),
    "pad with number": lambda graph: graph.add(
        "Pad", "images", graph.constant([0, 1, 1, 0, 0, 0, 0, 1], np.int64), graph.constant(0.5)
    ),
    "pad mirrored": lambda graph: graph.add(
        "Pad", "images", graph.constant([0, 0, 1, 2, 0, 0, 2, 1], np.int64), mode="reflect"
    ),
    "gather": with_numbers("Gather", [3, 0, -2], axis=1),
    "gather one": lambda graph: graph.add("Gather", "images", graph.constant(2, np.int64), axis=2),
    "tile": with_numbers("Tile", [1, 1, 2, 3]),
    "flatten": one("Flatten"),
    "reshape": with_numbers("Reshape", [0, 2, -1, 3]),
    "reshape flat": with_numbers("Reshape", [-1, 216]),
    "transpose": one("Transpose", perm=[0, 3, 1, 2]),
    "transpose batch kept": one("Transpose", perm=[0, 2, 3, 1]),
    "squeeze": lambda graph: graph.add("Squeeze", graph.add("GlobalMaxPool", "images"), graph.constant([2], np.int64)),
    "unsqueeze": with_numbers("Unsqueeze", [2]),
    "expand": lambda graph: graph.add(
        "Expand", graph.add("GlobalMaxPool", "images"), graph.constant([1, 4, 3, 2], np.int64)
    ),
    "depth to space": one("DepthToSpace", blocksize=2),
    "depth to space by columns": one("DepthToSpace", blocksize=2, mode="CRD"),
    "row reshape": with_numbers("Reshape", [-1, 3, 2, 2]),
    "resize nearest": resize("nearest", "asymmetric", nearest_mode="floor"),
    "resize nearest by half pixels": resize("nearest", "half_pixel"),
    "resize bilinear": resize("linear", "half_pixel"),
    "resize bilinear to corners": resize("linear", "align_corners"),
    "resize bilinear smaller": resize("linear", "half_pixel", (5, 4)),
    "resize bilinear asymmetric": resize("linear", "asymmetric"),
}
NORMALIZED: Mapping[str, Case] = {
    "batch normalization": batch_normalized,
    "layer normalization": lambda graph: graph.add(
        "LayerNormalization", "images", drawn(graph, 6), drawn(graph, 6), epsilon=1e-3
    ),
    "layer normalization of images": lambda graph: graph.add(
        "LayerNormalization", "images", drawn(graph, 4, 9, 6), axis=1
    ),
    "tokens layer normalization": lambda graph: graph.add(
        "LayerNormalization", "images", drawn(graph, 8), drawn(graph, 8)
    ),
    "instance normalization": lambda graph: graph.add(
        "InstanceNormalization", "images", drawn(graph, 4), drawn(graph, 4)
    ),
    "tokens attention": attention,
    "tokens product": lambda graph: graph.add("MatMul", "images", graph.add("Transpose", "images", perm=[0, 2, 1])),
}
CASES = {**LAYERS, **POOLS, **ELEMENTWISE, **MOVERS, **NORMALIZED}


def shape_of(case: str) -> tuple[int, ...]:
    return SHAPES.get(case.split(maxsplit=1)[0], IMAGE)


def built(case: str, n: int = 6) -> tuple[Graph, str]:
    """A graph that computed the case for `n` random inputs, and the name of its last value."""
    rng = np.random.default_rng(len(case))
    graph = Graph(rng.normal(0, 1, (n, *shape_of(case))).astype(np.float32), rng)
    return graph, CASES[case](graph)
