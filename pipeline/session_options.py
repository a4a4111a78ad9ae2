"""Session options of onnxruntime that a model file asks for, in its metadata.

A file can only ask: Octavo's runtime does as it is told, elsewhere they have to be set by hand.
"""

from collections.abc import Mapping

import onnx

RUN_IN_FLOAT = "session.disable_quant_qdq"
"""Leaves in float what is dequantized."""
EXACT_SUMS = "session.x64quantprecision"
"""Sums products of integers in 32 bits on x86 CPUs without VNNI, too, where pairs of them would else be cut off at 16.

Elsewhere it changes nothing, so that answers are the same everywhere.
"""
ALLOWED = (RUN_IN_FLOAT, EXACT_SUMS)


def ask(model: onnx.ModelProto, option: str) -> None:
    """Let `model` ask for `option`, in place."""
    if all(item.key != option for item in model.metadata_props):
        model.metadata_props.add(key=option, value="1")


def forget(model: onnx.ModelProto, option: str) -> None:
    """Let `model` no longer ask for `option`, in place."""
    for item in [item for item in model.metadata_props if item.key == option]:
        model.metadata_props.remove(item)


def asked(metadata: Mapping[str, str]) -> dict[str, str]:
    """Those of a model's metadata that are options which a file may ask for."""
    return {name: value for name, value in metadata.items() if name in ALLOWED}
