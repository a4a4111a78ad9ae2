"""Write the target of a Reshape as a constant, if it is computed from a shape that is known except for the batch.

Converters make such Reshapes of every Flatten and of every dense layer on sequences. While the target is computed,
neither onnxruntime nor Octavo can recognize the layer after it.
"""

import numpy as np
import onnx

from octavo.onnx_graph import qdq


def fix(model: onnx.ModelProto) -> None:
    """Give each Reshape a constant target, in place, if at most one dimension of its output is unknown."""
    shapes, known = qdq.shapes(model), qdq.constants(model)
    for node in model.graph.node:
        shape = shapes.get(node.output[0], (None, None)) if node.op_type == "Reshape" else (None, None)
        if node.input[1:] and node.input[1] not in known and shape.count(None) <= 1 and 0 not in shape:
            target = np.array([-1 if size is None else size for size in shape])
            node.input[1] = qdq.add_constant(model, f"{node.output[0]}/shape", target)
