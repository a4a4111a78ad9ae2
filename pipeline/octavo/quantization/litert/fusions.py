"""Find operators that LiteRT has whole in the parts that exporters write them in."""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import helper

from octavo.onnx_graph import qdq

CLOSE = 1e-3
"""Largest relative difference from a number that counts as rounding, to float16 at most."""


def fuse(model: onnx.ModelProto) -> None:
    """Write HardSwish and Gelu as one operator each, in place. Parts that others read stay."""
    numbers, makers = _numbers(model), qdq.producers(model)
    for node in list(model.graph.node):
        if node.op_type == "Mul":
            source = _hard_swish(node, makers)
            if source is not None:
                node.op_type = "HardSwish"
                node.input[:] = [source]
        elif node.op_type == "Erf":
            found = _gelu(model, node, makers, numbers)
            if found is not None:
                source, last = found
                place = list(model.graph.node).index(last)
                model.graph.node.insert(place, helper.make_node("Gelu", [source], [last.output[0]]))
                model.graph.node[place].doc_string = last.doc_string
                model.graph.node.remove(last)


def _numbers(model: onnx.ModelProto) -> dict[str, float]:
    """Constants of one element, also behind a Cast."""
    found = {name: float(array.ravel()[0]) for name, array in qdq.initializers(model).items() if array.size == 1}
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def _hard_swish(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto]) -> str | None:
    """What a product is the HardSwish of."""
    for source, other in (tuple(node.input), tuple(reversed(node.input))):
        maker = makers.get(other)
        if maker is not None and maker.op_type == "HardSigmoid" and maker.input[0] == source:
            line = (qdq.attribute(maker, "alpha", 0.2), qdq.attribute(maker, "beta", 0.5))
            if np.allclose(line, (1 / 6, 0.5), rtol=CLOSE):
                return source
    return None


def _gelu(
    model: onnx.ModelProto, erf: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto], numbers: Mapping[str, float]
) -> tuple[str, onnx.NodeProto] | None:
    """What `x / 2 * (1 + erf(x / sqrt(2)))`, in any order, is computed of, and its last operator."""
    scaled = makers.get(erf.input[0])
    source = None if scaled is None else _times(scaled, np.sqrt(0.5), numbers)
    readers = qdq.consumers(model)
    following = readers.get(erf.output[0], [])
    if source is None or len(following) != 1 or following[0].op_type != "Add":
        return None
    node, factors = following[0], list[str]()
    if not any(abs(numbers.get(name, 0) - 1) < CLOSE for name in node.input):
        return None
    value = node.output[0]
    while len(readers.get(value, [])) == 1 and readers[value][0].op_type == "Mul" and len(factors) < 2:
        node = readers[value][0]
        (other,) = [name for name in node.input if name != value] or [value]
        factors += list(_factors(other, source, makers, numbers))
        value = node.output[0]
        if sorted(factors) == ["half", "source"]:
            return source, node
    return None


def _factors(
    name: str, source: str, makers: Mapping[str, onnx.NodeProto], numbers: Mapping[str, float]
) -> Iterator[str]:
    """What of `x / 2` a value brings."""
    maker = makers.get(name)
    if name == source:
        yield "source"
    elif abs(numbers.get(name, 0) - 0.5) < CLOSE:
        yield "half"
    elif maker is not None and _times(maker, 0.5, numbers) == source:
        yield from ("half", "source")
    else:
        yield "other"


def _times(node: onnx.NodeProto, factor: float, numbers: Mapping[str, float]) -> str | None:
    """The value that a node multiplies by `factor`; None if it does something else."""
    if node.op_type not in ("Mul", "Div") or len(node.input) != 2:
        return None
    for value, number in (tuple(node.input), tuple(reversed(node.input))):
        if number in numbers and value not in numbers:
            if node.op_type == "Div" and number != node.input[1]:
                continue
            found = 1 / numbers[number] if node.op_type == "Div" and numbers[number] else numbers[number]
            if abs(found / factor - 1) < CLOSE:
                return value
    return None
