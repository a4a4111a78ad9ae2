"""The content of a LiteRT file: several graphs. The first one runs; its operators can call the others."""

from collections.abc import Collection
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content import model, tensors
from octavo.project.errors import ModelError

Code = schema.BuiltinOperator
NAMES = {value: name for name, value in vars(Code).items() if isinstance(value, int)}
BODIES = {
    Code.WHILE: ("condSubgraphIndex", "bodySubgraphIndex"),
    Code.IF: ("thenSubgraphIndex", "elseSubgraphIndex"),
    Code.CALL: ("subgraph",),
    Code.CALL_ONCE: ("initSubgraphIndex",),
    Code.STABLEHLO_COMPOSITE: ("decompositionSubgraphIndex",),
}
"""Operators that call other graphs of the file -> the options that give the graphs' numbers."""


class File:
    """A LiteRT file, read completely and checked."""

    def __init__(self, path: Path) -> None:
        """Read the file at `path`.

        Raises:
            ModelError: the file cannot be read, calls a graph that does not exist, or has a graph that calls itself.
        """
        self.model = model.load(path)
        self.graphs: list[schema.SubGraphT] = self.model.subgraphs
        self._callers = {
            body: (graph, operator)
            for graph in self.graphs
            for operator in graph.operators or ()
            for body in self.bodies(operator)
        }
        self._check_calls(path)

    def _check_calls(self, path: Path) -> None:
        """Following the calls from graph to graph ends only if no graph calls itself, directly or indirectly."""
        calls = [{b for operator in graph.operators for b in self.bodies(operator)} for graph in self.graphs]
        if strays := {body for bodies in calls for body in bodies if not 0 <= body < len(calls)}:
            raise ModelError(f"{path} is damaged: it has {len(calls)} graphs and calls graph {min(strays)}.")
        left = set(range(len(calls)))
        while ends := {graph for graph in left if not calls[graph] & left}:
            left -= ends
        if left:
            raise ModelError(f"{path} is damaged: its graph {min(left)} calls itself.")

    def code(self, operator: schema.OperatorT) -> int:
        """The operator's number in `BuiltinOperator`."""
        return tensors.code(self.model, operator)

    def type(self, operator: schema.OperatorT) -> str:
        """The operator's name in ONNX's spelling, `MaxPool2D` for MAX_POOL_2D. A custom operator keeps its own name."""
        code = self.code(operator)
        if code == Code.CUSTOM:
            custom = self.model.operatorCodes[operator.opcodeIndex].customCode
            return custom.decode() if custom else "Custom"
        name = NAMES.get(code, f"BUILTIN_{code}")
        return "".join(word.capitalize() for word in name.split("_"))

    def bodies(self, operator: schema.OperatorT) -> list[int]:
        """The graphs that the operator calls, as indices into `graphs`."""
        names = BODIES.get(self.code(operator), ())
        options = operator.builtinOptions or operator.builtinOptions2
        return [int(getattr(options, name)) for name in names]

    def stored_behind(self, graph: schema.SubGraphT, index: int, through: Collection[int]) -> schema.TensorT | None:
        """The stored tensor that another tensor is, or is computed from by operators `through` only.

        A called graph may receive the tensor from its caller. A loop's state is excluded if it changes.

        Args:
            graph: the graph of the tensor in question.
            index: its number in that graph.
            through: operators that convert or move values, by their number in `BuiltinOperator`.

        Returns:
            None if there is no such stored tensor.
        """
        makers = {output: operator for operator in graph.operators or () for output in operator.outputs}
        while index in makers and self.code(makers[index]) in through:
            index = int(makers.pop(index).inputs[0])  # popped: a damaged file may have a cycle
        if index < 0 or index in makers:
            return None
        tensor = graph.tensors[index]
        if self.stored_bytes(tensor):
            return tensor
        caller = self._callers.get(self.graphs.index(graph))
        place = next((place for place, source in enumerate(graph.inputs) if source == index), None)
        if caller is None or place is None:
            return None
        outer, operator = caller
        code = self.code(operator)
        if code == Code.WHILE:
            body = self.graphs[self.bodies(operator)[1]]
            if body.outputs[place] != body.inputs[place]:
                return None
        offset = 1 if code == Code.IF else 0
        return self.stored_behind(outer, int(operator.inputs[place + offset]), through)

    def stored_bytes(self, tensor: schema.TensorT) -> int:
        """Bytes of the tensor that are stored in the file; 0 for a computed tensor."""
        buffer = self.model.buffers[tensor.buffer]
        return len(buffer.data) if buffer.data is not None else int(buffer.size or 0)
