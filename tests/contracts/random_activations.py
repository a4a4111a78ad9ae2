"""The activations of random networks, those of several operators as tf2onnx and PyTorch write them."""

from collections.abc import Callable, Mapping

from tests.contracts.eager_graph import Graph, along_channels


def activate(graph: Graph, value: str, name: str) -> str:
    """The value after the activation of that name; `none` leaves it as it is."""
    if name in SINGLE:
        return graph.add(name, value, **SINGLE[name])
    return value if name == "none" else PARTS[name](graph, value)


def _clip(graph: Graph, value: str) -> str:
    return graph.add("Clip", value, graph.constant(0), graph.constant(6))


def _prelu(graph: Graph, value: str) -> str:
    return graph.add("PRelu", value, along_channels(graph, value, graph.rng.uniform(0, 0.4, graph.shape(value)[0])))


def _gelu(graph: Graph, value: str) -> str:
    part = graph.add("Erf", graph.add("Div", value, graph.constant(2**0.5)))
    return graph.add("Mul", graph.add("Mul", value, graph.add("Add", part, graph.constant(1))), graph.constant(0.5))


def _swish(graph: Graph, value: str) -> str:
    return graph.add("Mul", value, graph.add("Sigmoid", value))


def _hard_swish(graph: Graph, value: str) -> str:
    part = graph.add("Clip", graph.add("Add", value, graph.constant(3)), graph.constant(0), graph.constant(6))
    return graph.add("Mul", graph.add("Mul", value, part), graph.constant(1 / 6))


def _softmax(graph: Graph, value: str) -> str:
    return graph.add("Softmax", value, axis=1)


SINGLE: Mapping[str, dict[str, float]] = {
    "Relu": {},
    "LeakyRelu": {"alpha": 0.2},
    "Elu": {},
    "Selu": {},
    "Sigmoid": {},
    "Tanh": {},
    "Softplus": {},
    "Softsign": {},
    "HardSwish": {},
    "HardSigmoid": {"alpha": 1 / 6},
}
PARTS: Mapping[str, Callable[[Graph, str], str]] = {
    "Clip": _clip,
    "PRelu": _prelu,
    "Gelu": _gelu,
    "Swish": _swish,
    "HardSwishParts": _hard_swish,
    "Softmax": _softmax,
}
ACTIVATIONS = {*SINGLE, *PARTS}
