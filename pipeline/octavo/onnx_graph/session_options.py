"""Session options of onnxruntime that a model file asks for in its metadata.

Octavo's runtime sets them; with other runtimes they must be set by hand. A file does not ask for options that depend on
the CPU (see `exact_sums`); in older files that do, those are ignored.
"""

from collections.abc import Mapping

import onnx
import onnxruntime

RUN_IN_FLOAT = "session.disable_quant_qdq"
"""Leaves in float what is dequantized."""
AS_WRITTEN = "octavo.as_written"
"""Switches off graph optimization. In float, onnxruntime's TransposeOptimizer loses some transpositions between rounded
values, so that a temporal convolutional network failed or could give other answers.
"""
ALLOWED = (RUN_IN_FLOAT, AS_WRITTEN)


def ask(model: onnx.ModelProto, option: str) -> None:
    """Make `model` ask for `option`, in place."""
    if all(item.key != option for item in model.metadata_props):
        model.metadata_props.add(key=option, value="1")


def asked(metadata: Mapping[str, str]) -> dict[str, str]:
    """The options in a model's metadata that a file may ask for."""
    return {name: value for name, value in metadata.items() if name in ALLOWED}


def apply(options: onnxruntime.SessionOptions, wanted: Mapping[str, str]) -> None:
    """Set the options that `asked` found, in place."""
    for key, value in wanted.items():
        options.add_session_config_entry(key, value)
    if AS_WRITTEN in wanted:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
