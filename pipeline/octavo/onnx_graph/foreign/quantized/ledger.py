"""What a quantized network has learned, tensor by tensor, and the check that nothing of it is lost."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from octavo.onnx_graph import qdq
from octavo.onnx_graph.foreign.quantized import stored
from octavo.onnx_graph.foreign.quantized.unsigned import SHIFT
from octavo.project.errors import ModelError

LAYERS = (*qdq.OUTPUT_AXIS,)


@dataclass(frozen=True)
class Grids:
    """Scale and zero point of a pair, at both ends, and the integers if it is a constant."""

    arrays: tuple[np.ndarray, ...]

    def same(self, other: "Grids") -> bool:
        return len(self.arrays) == len(other.arrays) and all(
            np.array_equal(one, another) for one, another in zip(self.arrays, other.arrays, strict=True)
        )


@dataclass(frozen=True)
class Ledger:
    ranges: dict[str, Grids]
    """Activation behind the pair -> its grid. Zero points are those of uint8."""
    weights: dict[str, Grids]
    """Output of a layer -> its weights."""


def read(model: onnx.ModelProto) -> Ledger:
    """What the network has learned, in the form that `stored.store` makes."""
    arrays, constants = qdq.initializers(model), stored.dequantized_constants(model)
    return Ledger(
        dict(_ranges(model, arrays)),
        {
            node.output[0]: Grids(tuple(arrays[name] for name in constants[node.input[qdq.WEIGHT_INPUT]].input))
            for node in model.graph.node
            if node.op_type in LAYERS and node.input[qdq.WEIGHT_INPUT] in constants
        },
    )


def check(learned: Ledger, kept: Ledger) -> None:
    """Check that everything learned is kept.

    Raises:
        ModelError: a scale, a zero point or integers are lost or different.
    """
    lost = [
        name
        for one, other in ((learned.ranges, kept.ranges), (learned.weights, kept.weights))
        for name, grids in one.items()
        if name not in other or not grids.same(other[name])
    ]
    if lost:
        raise ModelError(
            f"The INT8 graph does not keep what the network learned for {', '.join(lost[:4])} "
            f"({len(lost)} of {len(learned.ranges) + len(learned.weights)} tensors)."
        )


def _ranges(model: onnx.ModelProto, arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, Grids]]:
    makers = qdq.producers(model)
    for node in model.graph.node:
        source = stored.quantizer(node.input[0], makers) if node.op_type == "DequantizeLinear" else None
        if source is not None:
            ends = [arrays[name] for each in (source, node) for name in each.input[1:]]
            yield node.output[0], Grids(tuple(_unsigned(each) for each in ends))


def _unsigned(parameters: np.ndarray) -> np.ndarray:
    """Zero points of int8 as they would be in uint8; anything else as it is."""
    return parameters.astype(np.int16) + SHIFT if parameters.dtype == np.int8 else parameters
