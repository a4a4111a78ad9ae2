"""Number of iterations of an ONNX Loop, if it depends only on the file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from octavo.backends.onnxruntime.intermediate_outputs import open_probe

LIMIT = 100_000
"""Iterations are counted up to this number."""
SEEN = "iterations/seen"
"""Name of the output that collects the numbers of the iterations."""


def trips(
    node: onnx.NodeProto,
    body: onnx.GraphProto,
    found: Mapping[str, Any],
    constants: frozenset[str],
    model: onnx.ModelProto,
) -> int | None:
    """Iterations of a Loop, counted by running the part of its body that decides them.

    Args:
        node: the Loop.
        body: its body.
        found: name -> value, of the surrounding graph and of the body's first iteration.
        constants: names of the values that are stored in the file.
        model: the source of the operator set versions.

    Returns:
        None if the number depends on data, or reaches `LIMIT`.
    """
    counter, condition, *states = (value.name for value in body.input)
    after, *updates = (value.name for value in body.output[: 1 + len(states)])
    changes = dict(zip(states, updates, strict=True))
    starts = dict(zip(states, node.input[2:], strict=True))
    deciding = _deciding(body, after, changes, constants | {counter, condition})
    if deciding is None:
        return None
    kept = [state for state in states if state in deciding]
    given = [name for name in (*node.input[:2], *(starts[state] for state in kept)) if name]
    if not constants.issuperset(given):
        return None
    most = min(int(found[node.input[0]]) if node.input[0] else LIMIT, LIMIT)
    inner = helper.make_graph(
        [*(each for each in body.node if each.output[0] in deciding), helper.make_node("Identity", [counter], [SEEN])],
        "deciding",
        [_declared(name, found[name]) for name in (counter, condition, *kept)],
        [*(_declared(name, found[name]) for name in (after, *(changes[state] for state in kept))), _scalar(SEEN)],
    )
    inputs = ["most", node.input[1], *(starts[state] for state in kept)]
    outputs = [f"{state}/last" for state in kept]
    loop = helper.make_node("Loop", inputs, [*outputs, "seen"], body=inner)
    read = {name for each in inner.node for name in each.input} | set(given) | {after, *(changes[s] for s in kept)}
    stored = {name: np.asarray(found[name]) for name in sorted(read & constants)} | {"most": np.array(most, np.int64)}
    graph = helper.make_graph(
        [loop],
        "loop",
        [],
        [onnx.ValueInfoProto(name="seen")],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    made = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    (seen,) = open_probe(made, ["seen"]).run(["seen"], {})
    return None if len(seen) == LIMIT else len(seen)


def _deciding(body: onnx.GraphProto, after: str, changes: Mapping[str, str], known: frozenset[str]) -> set[str] | None:
    """All values of the body that decide whether the loop continues.

    None if one of them comes from outside the body, or from an operator with subgraphs.
    """
    makers = {output: node for node in body.node for output in node.output}
    deciding: set[str] = set()
    waiting = [after]
    while waiting:
        name = waiting.pop()
        if not name or name in known or name in deciding:
            continue
        deciding.add(name)
        if name in changes:
            waiting.append(changes[name])
        elif name in makers and not any(item.HasField("g") for item in makers[name].attribute):
            deciding.add(makers[name].output[0])
            waiting += makers[name].input
        else:
            return None
    return deciding


def _declared(name: str, value: Any) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)


def _scalar(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.INT64, [])
