"""Run a graph from memory without changing it, and return any of its intermediate values.

Large weights are passed to onnxruntime one by one, outside the graph. As part of the model they would be serialized
with protobuf, which makes two more copies and is limited to 2 GB.
"""

from collections.abc import Mapping, Sequence
from threading import Timer
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from octavo.backends.onnxruntime import exact_sums, integer_weights
from octavo.onnx_graph import external_tensors, session_options
from octavo.project.errors import ModelError

PATIENCE = 60.0
"""Seconds allowed for one run: a loop in a file may never end."""


def open_probe(model: onnx.ModelProto, outputs: Sequence[str] = ()) -> onnxruntime.InferenceSession:
    """A session on one thread, with the options that the model asks for, and with exact sums if they are needed.

    Args:
        model: is not changed, and is no longer needed once the session exists.
        outputs: the values to return, in this order; by default the model's own outputs.

    Raises:
        Exception: an error of onnxruntime, as `onnxruntime.InferenceSession` raises it.
    """
    bare, contents = external_tensors.detach(model)
    if outputs:
        known = {value.name: value for value in model.graph.output}
        del bare.graph.output[:]
        bare.graph.output.extend(known.get(name, onnx.ValueInfoProto(name=name)) for name in outputs)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # an arena never releases its memory
    asked = session_options.asked({item.key: item.value for item in model.metadata_props})
    in_float = session_options.RUN_IN_FLOAT in asked
    if exact_sums.cut_off_here() and integer_weights.can_be_cut_off(model, in_float):
        asked[exact_sums.OPTION] = "1"
        integer_weights.separate(bare.graph)
    session_options.apply(options, asked)
    weights = external_tensors.arrays(bare, contents)
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    options.add_external_initializers(list(weights), values)
    return onnxruntime.InferenceSession(bare.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[Any]:
    """Run the session and return the values of some outputs.

    Args:
        session: from `open_probe`.
        outputs: names of the outputs, in the order of the result.
        feeds: name of an input -> its value.

    Raises:
        ModelError: the run did not finish within a minute.
    """
    options = onnxruntime.RunOptions()
    timer = Timer(PATIENCE, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        return list(session.run(outputs, dict(feeds), options))
    except failures.Fail:
        if not options.terminate:
            raise
        raise ModelError(
            f"A run of the model did not finish within {PATIENCE:g} seconds. Check whether it has an endless loop."
        ) from None
    finally:
        timer.cancel()
