"""Layers of random networks in forms that the writer of LiteRT files has to tell apart."""

from collections.abc import Callable, Mapping

import numpy as np

from tests.contracts.eager_graph import Graph
from tests.contracts.random_layers import Layer, convolution, dense, finish, flat, weights

PADDINGS = ("SAME_UPPER", "SAME_LOWER", "VALID", "SAME_UPPER")
BOUNDS = ((0, 6), (-1, 1), (0, 1), (-0.4, 0.9), (-0.3, None), (None, 0.8), (0.2, None), (0, None))


def padded_by_name(graph: Graph, value: str, layer: Layer) -> str:
    """A convolution that says SAME or VALID; a depthwise one with two outputs for each channel."""
    if graph.values[value].ndim == 2:
        return dense(graph, value, layer)
    channels, *places = graph.shape(value)
    groups = {"one": 1, "two": 2 if channels % 2 == 0 else 1, "depthwise": channels}[layer.group]
    width = layer.width if groups < 3 else 2 * channels
    kernel = [min(layer.kernel + place % 2, size) for place, size in enumerate(places)]
    weight, bias = weights(graph, layer, (width, channels // groups, *kernel), 0, f"named{groups}")
    how = {"auto_pad": PADDINGS[layer.form % 4], "strides": [layer.stride] * len(places), "group": groups}
    return finish(graph, graph.add("Conv", value, weight, *([bias] if bias else []), **how), layer)


def rounded_up_pool(graph: Graph, value: str, layer: Layer) -> str:
    """A pooling whose last window may reach beyond the image, or that pads unevenly."""
    places = graph.shape(value)[1:]
    if len(places) not in (1, 2) or min(places) < 3:
        return convolution(graph, value, layer)
    kind, sides = ("MaxPool", "AveragePool")[layer.form % 2], len(places)
    how = {
        "kernel_shape": [2 + place for place in range(sides)],
        "strides": [min(1 + layer.stride, 2 + place) for place in range(sides)],
    }
    if layer.form // 2 % 2:
        return graph.add(kind, value, ceil_mode=1, **how | {"strides": [2] * sides})
    if layer.form // 4 % 2:
        return graph.add(kind, value, auto_pad=PADDINGS[layer.width // 2 % 2], **how)
    return graph.add(kind, value, pads=[1] * sides + [0] * sides, **how)


def with_constants(graph: Graph, value: str, layer: Layer) -> str:
    """Constants of a lower rank than the value's."""
    shape = graph.shape(value)
    lower = [(), (1,), shape[-1:], shape[-2:], (*shape[:1], *[1] * (len(shape) - 1))]
    operators = ("Add", "Mul", "Sub", "Add")
    for place in range(2):
        constant = graph.constant(graph.rng.normal(0.8, 0.3, lower[(layer.form + 3 * place) % len(lower)]))
        value = graph.add(operators[(layer.width + place) % 4], value, constant)
    return value


def bounded(graph: Graph, value: str, layer: Layer) -> str:
    """A layer with a Clip of any bounds behind it."""
    bounds = ["" if bound is None else graph.constant(bound) for bound in BOUNDS[layer.form]]
    return graph.add("Clip", convolution(graph, value, Layer(**{**vars(layer), "activation": "none"})), *bounds)


def moved_between(graph: Graph, value: str, layer: Layer) -> str:
    """Axes of size 1 added and removed, places swapped, and all of it flattened and folded again."""
    channels, *places = graph.shape(value)
    if not places or layer.form == 0:
        rows = graph.add("Unsqueeze", flat(graph, value, 1), graph.constant([1], np.int64))
        return graph.add("Squeeze", rows, graph.constant([1], np.int64))
    if layer.form % 2 and len(places) == 2:
        swapped = graph.add("Transpose", value, perm=[0, 1, 3, 2])
        return graph.add("Relu", swapped) if layer.stride == 1 else swapped
    folded = graph.add("Reshape", graph.add("Flatten", value), graph.constant([-1, channels, *places], np.int64))
    return graph.add("Add", folded, value)


def averaged(graph: Graph, value: str, layer: Layer) -> str:
    """Values less their mean along an axis, which is kept or put back."""
    axis = 1 + layer.form % (graph.values[value].ndim - 1)
    if layer.form // 4:
        return graph.add("Sub", value, graph.add("ReduceMean", value, axes=[axis], keepdims=1))
    mean = graph.add("ReduceMean", value, axes=[axis], keepdims=0)
    return graph.add("Add", value, graph.add("Unsqueeze", mean, graph.constant([axis], np.int64)))


def joined(graph: Graph, value: str, layer: Layer) -> str:
    """Concat of values with ranges far apart, along the channels or along the last axis."""
    small = graph.add("Mul", value, graph.constant(0.1))
    parts = [small, graph.add("Tanh", value), value][: 2 + layer.form % 2]
    return graph.add("Concat", *parts, axis=1 if layer.form // 2 % 2 else -1)


FORMS: Mapping[str, Callable[[Graph, str, Layer], str]] = {
    "averaged": averaged,
    "bounded": bounded,
    "joined": joined,
    "moved_between": moved_between,
    "padded_by_name": padded_by_name,
    "rounded_up_pool": rounded_up_pool,
    "with_constants": with_constants,
}
