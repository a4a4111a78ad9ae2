"""Activations in int8 become uint8: the same scale, zero point and integers 128 higher, so the same real values.

On x86, onnxruntime's fast kernels read uint8 activations. Given int8, it computes part of the layers in float.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx

from octavo.onnx_graph import qdq

SHIFT = 128
READERS = ("Clip", *qdq.MOVERS)
"""Operators between QuantizeLinear and DequantizeLinear that work on uint8 as on int8."""


def shift(model: onnx.ModelProto) -> int:
    """Shift all int8 activations, in place, and return their number."""
    arrays, readers = qdq.initializers(model), qdq.consumers(model)
    ends = {value.name for value in model.graph.output}
    found = 0
    for node in [node for node in model.graph.node if node.op_type == "QuantizeLinear"]:
        between = list(_between(node.output[0], readers))
        names = {name for each in (node, *between) for name in each.output if each.op_type != "DequantizeLinear"}
        others = {reader.op_type for name in names for reader in readers.get(name, [])} - {*READERS, "DequantizeLinear"}
        if arrays[node.input[2]].dtype != np.int8 or others or not ends.isdisjoint(names):
            continue
        found += 1
        for each in (node, *between):
            places = {"QuantizeLinear": [2], "DequantizeLinear": [2], "Clip": [1, 2]}.get(each.op_type, [])
            for place in [place for place in places if place < len(each.input) and each.input[place]]:
                shifted = (arrays[each.input[place]].astype(np.int16) + SHIFT).astype(np.uint8)
                each.input[place] = qdq.add_constant(model, f"{each.input[place]}/unsigned", shifted)
    return found


def _between(name: str, readers: Mapping[str, list[onnx.NodeProto]]) -> Iterator[onnx.NodeProto]:
    """The operators that read these integers, up to each DequantizeLinear."""
    for node in readers.get(name, []):
        yield node
        if node.op_type in READERS:
            yield from _between(node.output[0], readers)
