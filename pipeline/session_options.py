"""Session options of onnxruntime that a model file asks for, in its metadata.

A file can only ask: Octavo's runtime does as it is told, elsewhere they have to be set by hand. What depends on the
CPU, a file does not ask for (see `exact_sums`); older files that do are treated as those that do not.
"""

from collections.abc import Mapping

import onnx

RUN_IN_FLOAT = "session.disable_quant_qdq"
"""Leaves in float what is dequantized."""
ALLOWED = (RUN_IN_FLOAT,)


def ask(model: onnx.ModelProto, option: str) -> None:
    """Let `model` ask for `option`, in place."""
    if all(item.key != option for item in model.metadata_props):
        model.metadata_props.add(key=option, value="1")


def asked(metadata: Mapping[str, str]) -> dict[str, str]:
    """Those of a model's metadata that are options which a file may ask for."""
    return {name: value for name, value in metadata.items() if name in ALLOWED}
