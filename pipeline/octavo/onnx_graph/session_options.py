"""Session options of onnxruntime that a model file asks for, in its metadata.

A file can only ask: Octavo's runtime does as it is told, elsewhere they have to be set by hand. What depends on the
CPU, a file does not ask for (see `exact_sums`); older files that do are treated as those that do not.
"""

from collections.abc import Mapping

import onnx
import onnxruntime

RUN_IN_FLOAT = "session.disable_quant_qdq"
"""Leaves in float what is dequantized."""
AS_WRITTEN = "octavo.as_written"
"""No optimization of the graph: in float, onnxruntime's TransposeOptimizer loses some of the transpositions between
values that are rounded, so that a temporal convolutional network failed, or could answer otherwise."""
ALLOWED = (RUN_IN_FLOAT, AS_WRITTEN)


def ask(model: onnx.ModelProto, option: str) -> None:
    """Let `model` ask for `option`, in place."""
    if all(item.key != option for item in model.metadata_props):
        model.metadata_props.add(key=option, value="1")


def asked(metadata: Mapping[str, str]) -> dict[str, str]:
    """Those of a model's metadata that are options which a file may ask for."""
    return {name: value for name, value in metadata.items() if name in ALLOWED}


def apply(options: onnxruntime.SessionOptions, wanted: Mapping[str, str]) -> None:
    """Set what `asked` found, in place."""
    for key, value in wanted.items():
        options.add_session_config_entry(key, value)
    if AS_WRITTEN in wanted:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
