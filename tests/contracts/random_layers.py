"""The layers and ends of random networks, written into a graph in the forms that exporters give them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tests.contracts.eager_graph import Graph, along_channels
from tests.contracts.random_activations import activate

LARGEST = 3000
"""Values of one image past which nothing is upsampled."""


@dataclass(frozen=True)
class Layer:
    """One layer; each kind reads the attributes that mean something to it, and fits them to its input's shape."""

    kind: str
    width: int = 8
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    group: str = "one"
    padding: str = "same"
    bias: str = "drawn"
    normalized: str = "no"
    activation: str = "Relu"
    channel: str = "alive"
    """What channel 0 is: `dead` (no weights), `near_dead` (weights of 1e-9, a bias of 2) or `loud` (a bias of 20)."""
    shared: bool = False
    """Takes the weights and the bias of the last layer of the same shape."""
    form: int = 0
    """Which of the forms that exporters write."""


def enter(graph: Graph, image: tuple[int, ...], channels_first: bool) -> str:
    """The images as (N, C, *places), or (N, F) where they are rows of features."""
    if len(image) == 1 or (len(image) > 2 and channels_first):
        return "images"
    if image == (12, 4):
        return to_first(graph, "images")
    if len(image) == 2:
        return graph.add("Reshape", "images", graph.constant([-1, 1, *image], np.int64))
    return to_first(graph, "images")


def to_first(graph: Graph, value: str) -> str:
    rank = graph.values[value].ndim
    return graph.add("Transpose", value, perm=[0, rank - 1, *range(1, rank - 1)])


def to_last(graph: Graph, value: str) -> str:
    rank = graph.values[value].ndim
    return graph.add("Transpose", value, perm=[0, *range(2, rank), 1])


def flat(graph: Graph, value: str, form: int = 0) -> str:
    """(N, F): by Flatten, or by Transpose and Reshape, as Keras' Flatten becomes."""
    if graph.values[value].ndim == 2:
        return value
    if form % 2:
        return graph.add("Flatten", value)
    last = to_last(graph, value)
    return graph.add("Reshape", last, graph.constant([-1, int(np.prod(graph.shape(value)))], np.int64))


def weights(graph: Graph, layer: Layer, shape: tuple[int, ...], axis: int, key: str) -> tuple[str, str]:
    """Names of weights of that shape, with `axis` for the outputs, and of their bias ('' for none)."""
    wanted = (key, layer.bias == "none", *shape)
    if layer.shared and wanted in graph.kept:
        return graph.kept[wanted]
    rng, outputs = graph.rng, shape[axis]
    spread = np.exp(rng.normal(0, 0.4, outputs)).reshape([-1 if place == axis else 1 for place in range(len(shape))])
    array = rng.normal(size=shape) * spread * (1.6 * outputs / np.prod(shape)) ** 0.5
    bias = rng.normal(0, 0.3, outputs) if layer.bias == "drawn" else np.full(outputs, 0.5)
    first = np.moveaxis(array, axis, 0)
    if layer.channel == "dead":
        first[0] = 0
    elif layer.channel == "near_dead":
        first[0] *= 1e-9
        bias[0] = 2
    elif layer.channel == "loud":
        bias[0] = 20
    names = graph.constant(array), "" if layer.bias == "none" else graph.constant(bias)
    graph.kept[wanted] = names
    return names


def finish(graph: Graph, value: str, layer: Layer) -> str:
    """Batch normalization and activation, where the layer has them."""
    return activate(graph, normalize(graph, value, layer), layer.activation)


def normalize(graph: Graph, value: str, layer: Layer) -> str:
    if layer.normalized == "no":
        return value
    rng, array = graph.rng, graph.values[value]
    axes = (0, *range(2, array.ndim))
    channels = array.shape[1]
    mean, variance = array.mean(axes), array.var(axes) * np.exp(rng.normal(0, 0.1, channels))
    gamma, beta = np.exp(rng.normal(0, 0.3, channels)), rng.normal(0, 0.4, channels)
    gamma[rng.random(channels) < 0.1] = 0
    if layer.normalized == "operator":
        names = [graph.constant(part) for part in (gamma, beta, mean, variance)]
        return graph.add("BatchNormalization", value, *names, epsilon=1e-3)
    factor = gamma / np.sqrt(variance + 1e-3)
    scaled = graph.add("Mul", value, along_channels(graph, value, factor))
    return graph.add("Add", scaled, along_channels(graph, value, beta - mean * factor))


def convolution(graph: Graph, value: str, layer: Layer) -> str:
    if graph.values[value].ndim == 2:
        return dense(graph, value, layer)
    channels, *places = graph.shape(value)
    groups = {"one": 1, "two": 2 if channels % 2 == 0 else 1, "depthwise": channels}[layer.group]
    width = layer.width if groups < 3 else channels
    kernel = [min(layer.kernel, size) for size in places]
    dilation = [
        layer.dilation if (side - 1) * layer.dilation < size else 1 for side, size in zip(kernel, places, strict=True)
    ]
    reach = [(side - 1) * step for side, step in zip(kernel, dilation, strict=True)]
    pads = {
        "same": [total // 2 for total in reach] + [total - total // 2 for total in reach],
        "valid": [0] * 2 * len(places),
        "uneven": [0] * len(places) + reach,
    }[layer.padding]
    weight, bias = weights(graph, layer, (width, channels // groups, *kernel), 0, f"conv{groups}")
    strides = [layer.stride] * len(places)
    sides = {"kernel_shape": kernel, "strides": strides, "dilations": dilation, "pads": pads, "group": groups}
    return finish(graph, graph.add("Conv", value, weight, *([bias] if bias else []), **sides), layer)


def transposed(graph: Graph, value: str, layer: Layer) -> str:
    if graph.values[value].ndim == 2 or graph.values[value][0].size * layer.width > LARGEST:
        return convolution(graph, value, layer)
    channels, *places = graph.shape(value)
    kernel = [max(layer.kernel, 2)] * len(places)
    weight, bias = weights(graph, layer, (channels, layer.width, *kernel), 1, "transposed")
    inputs = (value, weight, *([bias] if bias else []))
    return finish(graph, graph.add("ConvTranspose", *inputs, kernel_shape=kernel, strides=[2] * len(places)), layer)


def dense(graph: Graph, value: str, layer: Layer) -> str:
    return finish(graph, affine(graph, flat(graph, value, layer.form // 4), layer), layer)


def affine(graph: Graph, rows: str, layer: Layer) -> str:
    """A dense layer over (N, F), by MatMul and Add, or as one of the forms of Gemm."""
    features, width, form = graph.shape(rows)[0], layer.width, layer.form
    if form in (0, 5, 7):
        weight, bias = weights(graph, layer, (features, width), 1, "matmul")
        result = graph.add("MatMul", rows, weight)
        if not bias:
            return result
        return graph.add("Add", *((bias, result) if form == 5 else (result, bias)))
    if form == 2:
        weight, bias = weights(graph, layer, (width, features), 0, "gemm_b")
        return graph.add("Gemm", rows, weight, *([bias] if bias else []), transB=1)
    weight, bias = weights(graph, layer, (features, width), 1, "gemm")
    given = [bias] if bias else []
    if form == 3:
        return graph.add("Gemm", rows, weight, *given, alpha=0.5, beta=2.0)
    if form == 4 and bias:
        given = [graph.constant(graph.constants[bias][np.newaxis])]
    if form == 6:
        return graph.add("Gemm", graph.add("Transpose", rows, perm=[1, 0]), weight, *given, transA=1)
    return graph.add("Gemm", rows, weight, *given)


def tokens(graph: Graph, value: str, layer: Layer) -> str:
    """A dense layer over the channels of each place, as Keras writes Dense over images."""
    if graph.values[value].ndim == 2:
        return dense(graph, value, layer)
    last = to_last(graph, value)
    weight, bias = weights(graph, layer, (graph.shape(value)[0], layer.width), 1, "matmul")
    result = graph.add("MatMul", last, weight)
    return finish(graph, to_first(graph, graph.add("Add", result, bias) if bias else result), layer)


def branches(graph: Graph, value: str, layer: Layer) -> str:
    """A convolution beside a shortcut, brought together by Add, Concat, Mul, Sub or Max."""
    joined = ["Add", "Concat", "Mul", "Sub", "Max", "Add", "Concat", "Add"][layer.form]
    width = graph.shape(value)[0]
    plain = {"stride": 1, "padding": "same", "group": "one"}
    beside = convolution(graph, value, Layer(**{**vars(layer), **plain, "width": width}))
    if graph.shape(beside) != graph.shape(value):
        return beside
    return graph.add("Concat", value, beside, axis=1) if joined == "Concat" else graph.add(joined, value, beside)


def excitation(graph: Graph, value: str, layer: Layer) -> str:
    """Squeeze-and-excitation: each channel times a factor that comes from all means."""
    channels = graph.shape(value)[0]
    rank = graph.values[value].ndim
    pooled = graph.add("GlobalAveragePool", value) if rank > 2 else value
    row = graph.add("Reshape", pooled, graph.constant([-1, channels], np.int64)) if rank > 2 else pooled
    inner = Layer("dense", 4, form=layer.form, activation=layer.activation, bias=layer.bias)
    squeezed = dense(graph, row, inner)
    gate = activate(graph, affine(graph, squeezed, Layer("dense", channels, form=layer.form)), "Sigmoid")
    if rank > 2:
        gate = graph.add("Reshape", gate, graph.constant([-1, channels, *[1] * (rank - 2)], np.int64))
    return graph.add("Mul", value, gate)


def pool(graph: Graph, value: str, layer: Layer) -> str:
    """MaxPool or AveragePool, with padding in some forms."""
    places = graph.shape(value)[1:]
    if not places or min(places) < 2:
        return convolution(graph, value, layer)
    kind = "MaxPool" if layer.form % 2 else "AveragePool"
    counted = {"count_include_pad": layer.form // 4} if kind == "AveragePool" else {}
    pads = [0] * len(places) + [1] * len(places) if layer.form // 2 % 2 else [0] * 2 * len(places)
    size = [2] * len(places)
    return graph.add(kind, value, kernel_shape=size, strides=[max(1, layer.stride)] * len(places), pads=pads, **counted)


def moved(graph: Graph, value: str, layer: Layer) -> str:
    """Values moved about: padded, resized, cut, split and swapped."""
    channels, *places = graph.shape(value)
    rank = 2 + len(places)
    if layer.form in (0, 1) and places:
        pads = [0, 0, *[1] * len(places), 0, 0, *[2] * len(places)]
        return graph.add("Pad", value, graph.constant(pads, np.int64), graph.constant(layer.form / 2))
    if layer.form in (2, 3) and len(places) == 2 and 4 * graph.values[value][0].size < LARGEST:
        mode = "nearest" if layer.form == 2 else "linear"
        return graph.add("Resize", value, "", graph.constant([1, 1, 2, 2]), mode=mode)
    if layer.form == 4 and max(places, default=0) > 2:
        axis = 2 + int(np.argmax(places))
        bounds = [graph.constant([bound], np.int64) for bound in (1, 2**31 - 1, axis)]
        return graph.add("Slice", value, *bounds)
    if layer.form == 5 and channels % 2 == 0:
        shuffled = graph.add("Reshape", value, graph.constant([-1, 2, channels // 2, *places], np.int64))
        shuffled = graph.add("Transpose", shuffled, perm=[0, 2, 1, *range(3, rank + 1)])
        return graph.add("Reshape", shuffled, graph.constant([-1, channels, *places], np.int64))
    if channels > 1:
        sizes = graph.constant([channels // 2, channels - channels // 2], np.int64)
        one, other = graph.split("Split", 2, value, sizes, axis=1)
        return graph.add("Concat", activate(graph, other, layer.activation), one, axis=1)
    return value


def layer_normalized(graph: Graph, value: str, layer: Layer) -> str:
    """LayerNormalization over the channels, as an operator or in parts."""
    last = to_last(graph, value) if graph.values[value].ndim > 2 else value
    channels = graph.values[last].shape[-1]
    gamma, beta = np.exp(graph.rng.normal(0, 0.3, channels)), graph.rng.normal(0, 0.4, channels)
    if layer.form % 2:
        result = graph.add("LayerNormalization", last, graph.constant(gamma), graph.constant(beta), epsilon=1e-3)
    else:
        centred = graph.add("Sub", last, graph.add("ReduceMean", last, axes=[-1]))
        squares = graph.add("ReduceMean", graph.add("Mul", centred, centred), axes=[-1])
        deviation = graph.add("Sqrt", graph.add("Add", squares, graph.constant(1e-3)))
        scaled = graph.add("Mul", graph.add("Div", centred, deviation), graph.constant(gamma))
        result = graph.add("Add", scaled, graph.constant(beta))
    return to_first(graph, result) if graph.values[value].ndim > 2 else result


def recurrent(graph: Graph, value: str, layer: Layer) -> str:
    """LSTM or GRU over the places in order; only for signals and images."""
    if graph.values[value].ndim == 2:
        return dense(graph, value, layer)
    channels, hidden = graph.shape(value)[0], layer.width
    folded = graph.add("Reshape", value, graph.constant([0, channels, -1], np.int64))
    steps = graph.add("Transpose", folded, perm=[2, 0, 1])
    kind, gates = ("LSTM", 4) if layer.form % 2 else ("GRU", 3)
    rng = graph.rng
    names = [
        graph.constant(rng.normal(0, 0.8 * size**-0.5, shape))
        for size, shape in ((channels, (1, gates * hidden, channels)), (hidden, (1, gates * hidden, hidden)))
    ]
    if layer.bias != "none":
        names.append(graph.constant(rng.normal(0, 0.3, (1, 2 * gates * hidden))))
    extra = {"linear_before_reset": 1} if kind == "GRU" else {}
    every, last, *_ = graph.split(kind, 3 if kind == "LSTM" else 2, steps, *names, hidden_size=hidden, **extra)
    if layer.form // 2 % 2:
        return graph.add("Squeeze", last, graph.constant([0], np.int64))
    return graph.add("Transpose", graph.add("Squeeze", every, graph.constant([1], np.int64)), perm=[1, 2, 0])


def attention(graph: Graph, value: str, layer: Layer) -> str:
    """Each place looks at all: a product of two values that both depend on the image."""
    if graph.values[value].ndim == 2 or np.prod(graph.shape(value)[1:]) > 64:
        return tokens(graph, value, layer)
    channels = graph.shape(value)[0]
    folded = graph.add("Reshape", value, graph.constant([0, channels, -1], np.int64))
    rows = graph.add("Transpose", folded, perm=[0, 2, 1])
    query, key = (
        graph.add("MatMul", rows, weights(graph, layer, (channels, layer.width), 1, "matmul")[0]) for _ in range(2)
    )
    scores = graph.add("MatMul", query, graph.add("Transpose", key, perm=[0, 2, 1]))
    share = graph.add("Softmax", graph.add("Mul", scores, graph.constant(layer.width**-0.5)), axis=-1)
    return graph.add("Transpose", graph.add("MatMul", share, rows), perm=[0, 2, 1])


def scaled(graph: Graph, value: str, layer: Layer) -> str:
    """Constants on their own: a rescaling of all values, or a factor and an addend for each channel."""
    if layer.form % 2:
        return graph.add("Sub", graph.add("Mul", value, graph.constant(2)), graph.constant(0.5))
    return normalize(graph, value, Layer("normalized", normalized="operator" if layer.form % 4 else "parts"))


def alone(graph: Graph, value: str, layer: Layer) -> str:
    return activate(graph, value, layer.activation)


LAYERS: Mapping[str, Callable[[Graph, str, Layer], str]] = {
    "convolution": convolution,
    "dense": dense,
    "activation": alone,
    "attention": attention,
    "branches": branches,
    "excitation": excitation,
    "layer_normalized": layer_normalized,
    "moved": moved,
    "pool": pool,
    "recurrent": recurrent,
    "scaled": scaled,
    "tokens": tokens,
    "transposed": transposed,
}
