"""Is it really INT8? What a model file stores, and what it computes in, read from the graph that will run."""

from pathlib import Path

import numpy as np

from octavo.backends import model_files, registry
from octavo.backends.operators import Operator
from octavo.backends.records import FloatNode, Interface, Proof
from octavo.evaluation.scorecard import Size

UNCOUNTED = "how many multiply-accumulates it takes is unknown: its type is, or how often it runs, or on what sizes"


def prove(path: Path, images: np.ndarray | None = None) -> Proof:
    """Integer shares of weights and of multiply-accumulates, and the operators that stay float, by name.

    With `images` of the calibration split, as the model takes them, the risk of saturation, too, where its runtime
    knows any. A model that takes
    images of any size is measured at the size of these; without them its compute share is unknown.

    Raises:
        ModelError: the runtime cannot load the file.
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
    """Bytes of the model's files and of its parameters, against the baseline's files and against the floor.

    The floor is one byte a weight and four a bias: what an INT8 file with nothing else in it would take.
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
    """How the model file is called."""
    return registry.backend_of(path).interface(path)


def output_step(path: Path) -> float | None:
    """The scale of the integers that the model's logits are, or None where they are float from the start."""
    return registry.backend_of(path).output_step(path)


def _node(operator: Operator, why: str) -> FloatNode:
    return FloatNode(name=operator.name, operator=operator.type, why=why)


def _share(parts: list[tuple[int | None, bool | None]]) -> float | None:
    """The integers' share of all; None where a size, or whether it is integer, is unknown."""
    known = [(size, integer) for size, integer in parts if size is not None and integer is not None]
    if len(known) < len(parts):
        return None
    whole = sum(size for size, _ in known)
    return sum(size for size, integer in known if integer) / whole if whole else 0.0


def _why(operator: Operator) -> str:
    if operator.macs is None:
        return "it gives float, and what it computes is unknown"
    if operator.macs:
        return "its weights or its input reach it in float"
    return "its input reaches it in float, or the runtime has no integer kernel for it"
