"""The ends of random networks: from the last hidden value to the logits."""

from collections.abc import Callable, Mapping

from tests.contracts.eager_graph import Graph
from tests.contracts.random_activations import activate
from tests.contracts.random_layers import Layer, affine, convolution, flat, normalize


def _head(graph: Graph, value: str, classes: int, form: int = 1) -> str:
    return affine(graph, flat(graph, value), Layer("dense", classes, form=form))


def _pooled_convolution(graph: Graph, value: str, classes: int) -> str:
    if graph.values[value].ndim == 2:
        return _head(graph, value, classes)
    maps = convolution(graph, value, Layer("convolution", classes, 1, activation="none"))
    return graph.add("Flatten", graph.add("GlobalAveragePool", maps))


def _mean_head(graph: Graph, value: str, classes: int) -> str:
    rank = graph.values[value].ndim
    pooled = graph.add("ReduceMean", value, axes=list(range(2, rank)), keepdims=0) if rank > 2 else value
    return _head(graph, pooled, classes, 0)


def _two_heads(graph: Graph, value: str, classes: int) -> str:
    row = flat(graph, value)
    return graph.add("Add", _head(graph, row, classes, 0), _head(graph, activate(graph, row, "Tanh"), classes, 0))


def _ending_in(name: str) -> Callable[[Graph, str, int], str]:
    def end(graph: Graph, value: str, classes: int) -> str:
        logits = _head(graph, value, classes, 0)
        return graph.add(name, logits, **({"axis": -1} if name == "Softmax" else {}))

    return end


def _normalized_head(graph: Graph, value: str, classes: int) -> str:
    return normalize(graph, _head(graph, value, classes, 0), Layer("dense", normalized="operator"))


def _read_twice(graph: Graph, value: str, classes: int) -> str:
    """The logits are a value that a second layer reads, too, and get its result added."""
    first = _head(graph, value, classes)
    return graph.add("Add", first, _head(graph, activate(graph, first, "Relu"), classes, 2))


def _unused(graph: Graph, value: str, classes: int) -> str:
    """The logits have a reader whose result nobody reads."""
    logits = _head(graph, value, classes, 0)
    graph.add("Relu", logits)
    return graph.add("Identity", logits)


ENDS: Mapping[str, Callable[[Graph, str, int], str]] = {
    "Gemm": _head,
    "MatMul": lambda graph, value, classes: _head(graph, value, classes, 0),
    "ConvPool": _pooled_convolution,
    "Mean": _mean_head,
    "TwoHeads": _two_heads,
    "Softmax": _ending_in("Softmax"),
    "Sigmoid": _ending_in("Sigmoid"),
    "Tanh": _ending_in("Tanh"),
    "Relu": _ending_in("Relu"),
    "BatchNormalization": _normalized_head,
    "ReadTwice": _read_twice,
    "Unused": _unused,
}
