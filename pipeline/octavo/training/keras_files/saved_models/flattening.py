"""One graph without functions, from a graph that calls functions: what its outputs need, and nothing else.

Protobuf messages are read and written; no function and no operator is run. TensorFlow's own inlining is a part of its
optimizer, which evaluates what it can.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.python.framework import op_def_registry

from octavo.project.errors import ModelError
from octavo.training.frozen_graph import LIMIT
from octavo.training.keras_files.saved_models.flat_graph import FlatGraph, maker

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
THROUGH = ("Identity", "ReadVariableOp", "StopGradient", "PreventGradient", "PlaceholderWithDefault")
"""Operators that give their first input back, once variables are constants."""
LONGEST = 9
"""Digits of the index of an output."""
MOST = 2**18
"""Operators and their inputs, with those of a function again for each of its calls."""
DEEPEST = 50
"""Functions that call each other."""


@dataclass(frozen=True)
class _Scope:
    """The graph, or one call of a function."""

    nodes: Mapping[str, NodeDef]
    arguments: Mapping[str, str]
    """Of the function -> the tensor that was given."""
    callers: tuple[str, ...] = ()
    named: dict[str, str] = field(default_factory=dict)
    """Name of a node here -> its name in the flat graph."""
    seen: set[str] = field(default_factory=set)


def flatten(graph: GraphDef, end: str, folder: Path) -> FlatGraph:
    """What a node of a graph needs, directly or not, by its data or by what runs before it, with functions in place.

    Args:
        graph: nodes, and the functions that they call.
        end: name of the node that is needed. Nodes of the graph keep their names.
        folder: that it was read from, for messages.

    Raises:
        ModelError: the graph refers to nodes or functions that it does not have, a function calls itself, or the whole
            is too large.
    """
    return _Flattening(graph, folder).all_of(end)


class _Flattening:
    def __init__(self, graph: GraphDef, folder: Path) -> None:
        self._functions = {each.signature.name: each for each in graph.library.function}
        self._bodies: dict[str, dict[str, NodeDef]] = {}
        self._folder = folder
        self._top = _Scope({node.name: node for node in graph.node}, {})
        self._top.named.update({name: name for name in self._top.nodes})
        self._taken = Counter(dict.fromkeys(self._top.nodes, 1))
        self._nodes: dict[str, NodeDef] = {}
        self._aliases: dict[str, str] = {}
        self._size = self._bytes = 0

    def all_of(self, end: str) -> FlatGraph:
        waiting = [(self._top, end)]
        while waiting:
            scope, name = waiting.pop()
            if name in scope.arguments or name in scope.seen:
                continue
            scope.seen.add(name)
            node = self._node(scope, name)
            self._count(1 + len(node.input), node.ByteSize())
            waiting += [(scope, maker(each)) for each in node.input]
            if node.op in CALLS:
                waiting += self._called(scope, node)
            else:
                self._keep(scope, node)
        flat = FlatGraph(self._nodes, self._aliases)
        for node in flat.nodes.values():
            node.input[:] = [flat.tensor(each) for each in node.input]
        return flat

    def _keep(self, scope: _Scope, node: NodeDef) -> None:
        inputs, name = self._inputs(scope, node), self._name(scope, node.name)
        if node.op in THROUGH and inputs:
            self._aliases[f"{name}:0"] = inputs[0]
            return
        kept = NodeDef(name=name, op=node.op, input=inputs)
        for key in sorted(key for key in node.attr if not key.startswith("_")):
            if node.attr[key].WhichOneof("value") == "placeholder":
                raise self._damaged(f"operator {node.name} has no {key}")
            kept.attr[key].CopyFrom(node.attr[key])
        self._nodes[name] = kept

    def _called(self, scope: _Scope, node: NodeDef) -> list[tuple[_Scope, str]]:
        """Enter a call, and return the nodes in the function that must be there."""
        called = node.attr["f"].func.name
        if called not in self._functions:
            raise self._damaged(f"it calls a function {called[:120]} that it does not have")
        if called in scope.callers or len(scope.callers) >= DEEPEST:
            raise ModelError(
                f"In {self._folder}, function {called[:120]} calls itself, or calls are over {DEEPEST} deep. Export "
                "the network without it, or bring it as ONNX."
            )
        function = self._functions[called]
        given, wanted = self._inputs(scope, node), [each.name for each in function.signature.input_arg]
        if len(given) != len(wanted):
            raise self._damaged(f"function {called[:120]} is given {len(given)} of {len(wanted)} arguments")
        if called not in self._bodies:
            self._bodies[called] = {each.name: each for each in function.node_def}
        inner = _Scope(self._bodies[called], dict(zip(wanted, given, strict=True)), (*scope.callers, called))
        results = [function.ret[each.name] for each in function.signature.output_arg]
        self._count(len(results) + len(function.control_ret), 0)
        for place, result in enumerate(results):
            self._aliases[f"{self._name(scope, node.name)}:{place}"] = self._tensor(inner, result)
        return [(inner, maker(each)) for each in (*results, *function.control_ret.values())]

    def _inputs(self, scope: _Scope, node: NodeDef) -> list[str]:
        """Without those that only say what runs first: nothing here has an effect."""
        return [self._tensor(scope, each) for each in node.input if not each.startswith("^")]

    def _tensor(self, scope: _Scope, reference: str) -> str:
        """`node:index` in the flat graph. Functions refer to `node:output:index`, or to an argument."""
        name, *rest = reference.split(":")
        if name in scope.arguments:
            return scope.arguments[name]
        node, place = self._node(scope, name), rest[-1] if rest else "0"
        parts = 2 if scope.callers else min(len(rest), 1)
        if not place.isdecimal() or len(place) > LONGEST or len(rest) != parts:
            raise self._damaged(f"it refers to {reference[:120]}")
        first = self._first(node, rest[0]) if scope.callers and node.op not in CALLS else 0
        return f"{self._name(scope, name)}:{first + int(place)}"

    def _first(self, node: NodeDef, output: str) -> int:
        """The index of an output that is named; some outputs are several tensors."""
        definition, place = op_def_registry.get(node.op), 0
        if definition is None:
            raise ModelError(
                f"{self._folder} has an operator {node.op[:120]} ({node.name[:120]}), which TensorFlow does not have. "
                "Export the network without it, or bring it as ONNX."
            )
        for each in definition.output_arg:
            if each.name == output:
                return place
            several = node.attr[each.number_attr].i if each.number_attr else 1
            place += len(node.attr[each.type_list_attr].list.type) if each.type_list_attr else several
        raise self._damaged(f"operator {node.op} has no output {output[:120]}")

    def _node(self, scope: _Scope, name: str) -> NodeDef:
        if name not in scope.nodes:
            raise self._damaged(f"it has no operator {name[:120]}")
        return scope.nodes[name]

    def _name(self, scope: _Scope, name: str) -> str:
        """A name in the flat graph: the same, as long as it is free."""
        if name not in scope.named:
            free = name
            while free in self._taken:
                self._taken[name] += 1
                free = f"{name}_{self._taken[name] - 1}"
            self._taken[free] += 1
            scope.named[name] = free
        return scope.named[name]

    def _count(self, parts: int, size: int) -> None:
        self._size += parts
        self._bytes += size
        for found, most, what in ((self._size, MOST, "operators and their inputs"), (self._bytes, LIMIT, "bytes")):
            if found > most:
                raise ModelError(f"The graph in {self._folder} has more than {most:,} {what}. Bring it as ONNX.")

    def _damaged(self, what: str) -> ModelError:
        return ModelError(f"{self._folder} is damaged: {what}. Export the network again.")
