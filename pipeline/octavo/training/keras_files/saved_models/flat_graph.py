"""A graph without functions, in which outputs of calls and identities stand for other tensors."""

from dataclasses import dataclass

from tensorflow.core.framework.node_def_pb2 import NodeDef


@dataclass(frozen=True)
class FlatGraph:
    """Operators by name, none of which is a call."""

    nodes: dict[str, NodeDef]
    """Their inputs are `tensor` of what the graph says."""
    aliases: dict[str, str]

    def tensor(self, name: str) -> str:
        """The tensor, `node:index`, that `name` stands for."""
        name, passed = name if ":" in name else f"{name}:0", dict[str, None]()
        while name in self.aliases and name not in passed:
            passed[name] = None
            name = self.aliases[name]
        for each in passed:
            self.aliases[each] = name  # a long chain is walked once
        return name

    def needed(self, tensor: str) -> "FlatGraph":
        """The part of the graph from which a tensor is computed."""
        nodes: dict[str, NodeDef] = {}
        waiting = [maker(self.tensor(tensor))]
        while waiting:
            name = waiting.pop()
            if name in self.nodes and name not in nodes:
                nodes[name] = self.nodes[name]
                waiting += [maker(each) for each in nodes[name].input]
        return FlatGraph(nodes, self.aliases)


def maker(reference: str) -> str:
    """The node that an input refers to, by its value (`node:index`) or to run after it (`^node`)."""
    return reference.removeprefix("^").partition(":")[0]
