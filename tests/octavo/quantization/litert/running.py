"""What LiteRT's interpreter computes of a file in memory."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def answers(content: bytes, images: np.ndarray, resolver: OpResolverType = OpResolverType.AUTO) -> np.ndarray:
    """The output for a batch of inputs, with XNNPACK's kernels unless `resolver` names others."""
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(source["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], np.ascontiguousarray(images))
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(target["index"]))
