"""How much of a model is really INT8: what the file stores, and what the graph that will run computes."""

from pathlib import Path

import numpy as np

from octavo.backends import model_files, registry
from octavo.backends.operators import Operator
from octavo.backends.records import FloatNode, Interface, Proof
from octavo.evaluation.scorecard import Size

UNCOUNTED = "its multiply-accumulates are unknown, because its type, its number of runs or its input sizes are unknown"


def prove(path: Path, images: np.ndarray | None = None) -> Proof:
    """Measure the integer shares of weights and of multiply-accumulates, and list the operators that stay float.

    Args:
        path: the model file.
        images: (N, H, W[, C]) of the calibration split, in the model's input encoding. With them, saturation is
            measured too, if the runtime supports it. A model that accepts images of any size is measured at their size;
            without them, its compute share is unknown.

    Raises:
        ModelError: the runtime cannot load the file, or its format is unknown.
    """
    reader = registry.backend_of(path)
    weights = [parameter for parameter in reader.parameters(path) if parameter.kind == "weight"]
    operators = reader.operators(path, images)
    return Proof(
        integer_weight_share=_share([(weight.elements, weight.integer) for weight in weights]),
        integer_compute_share=_share([(operator.macs, operator.integer) for operator in operators]),
        float_nodes=[_node(operator, _why(operator)) for operator in operators if not operator.integer],
        uncounted=[_node(operator, UNCOUNTED) for operator in operators if operator.macs is None],
        saturation=None if images is None or reader.saturation is None else reader.saturation(path, images),
    )


def measure_size(path: Path, baseline: Path) -> Size:
    """Bytes of the model's files and parameters, and their ratio to the baseline's files and to the floor.

    The floor is one byte per weight and four per bias: the size of an INT8 file with nothing else in it.

    Raises:
        ModelError: one of the files is missing or damaged, or its format is unknown.
    """
    parameters = registry.backend_of(path).parameters(path)
    file_bytes = model_files.size(path)
    floor = sum(parameter.elements * (1 if parameter.kind == "weight" else 4) for parameter in parameters)
    return Size(
        file_bytes=file_bytes,
        weight_bytes=sum(parameter.file_bytes for parameter in parameters),
        ratio=file_bytes / model_files.size(baseline),
        floor_ratio=file_bytes / floor if floor else float("inf"),
    )


def interface(path: Path) -> Interface:
    """The inputs and outputs of the model file.

    Raises:
        ModelError: the file cannot be read, or its format is unknown.
    """
    return registry.backend_of(path).interface(path)


def output_step(path: Path) -> float | None:
    """The scale of the integers that the model's logits come from, or None if the logits are computed in float.

    Raises:
        ModelError: the file cannot be read, or its format is unknown.
    """
    return registry.backend_of(path).output_step(path)


def _node(operator: Operator, why: str) -> FloatNode:
    return FloatNode(name=operator.name, operator=operator.type, why=why)


def _share(parts: list[tuple[int | None, bool | None]]) -> float | None:
    """The integer share of the total size; None if a size, or whether it is integer, is unknown."""
    known = [(size, integer) for size, integer in parts if size is not None and integer is not None]
    if len(known) < len(parts):
        return None
    whole = sum(size for size, _ in known)
    return sum(size for size, integer in known if integer) / whole if whole else 0.0


def _why(operator: Operator) -> str:
    if operator.macs is None:
        return "its output is float, and what it computes is unknown"
    if operator.macs:
        return "its weights or its input reach it in float"
    return "its input reaches it in float, or the runtime has no integer kernel for it"
