"""A LiteRT graph in the making: which tensors hold the values of an ONNX graph, in which order of axes and type."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.packing import FileGraph, FileOperator, FileTensor, Scaling
from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert import layouts
from octavo.quantization.litert.layouts import Order

Code, Type = schema.BuiltinOperator, schema.TensorType
TYPES = {
    np.dtype(np.float32): Type.FLOAT32,
    np.dtype(np.float16): Type.FLOAT16,
    np.dtype(np.int8): Type.INT8,
    np.dtype(np.uint8): Type.UINT8,
    np.dtype(np.int32): Type.INT32,
    np.dtype(np.int64): Type.INT64,
    np.dtype(np.bool_): Type.BOOL,
}
PER_CHANNEL = 5
"""The first version of Dequantize that supports one scale per channel."""


@dataclass(frozen=True)
class Held:
    """A tensor that holds a value."""

    tensor: int
    order: Order


@dataclass(frozen=True, eq=False)
class Packed:
    """A constant that the file stores in fewer bits than the network computes with."""

    values: np.ndarray
    """int8, or float16."""
    scaling: Scaling | None
    """Of int8. Its axis is one of the value's."""


class Translation:
    """The LiteRT graph so far, and what is known about the values of the ONNX graph."""

    def __init__(
        self,
        model: onnx.ModelProto,
        shapes: Mapping[str, Sequence[int]],
        free: Mapping[str, int],
        rounds_inputs: bool = False,
    ) -> None:
        """Begin without a tensor.

        Args:
            model: the ONNX graph.
            shapes: of its values, for one example.
            free: value -> the axis whose size grows with the batch, of values that have exactly one.
            rounds_inputs: whether layers with large int8 weights round float inputs themselves, at each call.
        """
        self.graph = FileGraph()
        self.rounds_inputs = rounds_inputs
        self.constants = qdq.initializers(model)
        self.readers = qdq.consumers(model)
        self.makers = qdq.producers(model)
        self.ends = {value.name for value in model.graph.output}
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.shapes |= {name: array.shape for name, array in self.constants.items()}
        self.free = free
        self.kept: dict[str, Packed] = {}
        self.fused: set[str] = set()
        """Outputs of operators that are a part of the operator before them."""
        self._held: dict[str, list[Held]] = defaultdict(list)
        self._flat: dict[str, list[tuple[int, np.ndarray]]] = defaultdict(list)
        self._known: dict[tuple[Any, ...], int] = {}

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a value, for one example.

        Raises:
            ModelError: it is unknown.
        """
        if name not in self.shapes:
            raise ModelError(f"the shape of '{name}' is not known before the network runs")
        return self.shapes[name]

    def rank(self, name: str) -> int:
        return len(self.shape(name))

    def is_constant(self, name: str) -> bool:
        return name in self.constants or name in self.kept

    def is_integer(self, name: str) -> bool:
        """Whether integers hold the value, or it is a constant that is stored as int8 with one scale."""
        if name in self.kept:
            scaling = self.kept[name].scaling
            return scaling is not None and len(scaling.scale) == 1
        return any(self._scaling(held) is not None for held in self._held[name])

    def scaling(self, name: str) -> Scaling:
        """The scale and zero point of the integers that hold a value."""
        if name in self.kept:
            found = self.kept[name].scaling
        else:
            found = next(filter(None, map(self._scaling, self._held[name])), None)
        assert found is not None, f"{name} is not in integers"
        return found

    def order(self, name: str) -> Order:
        """The order of axes in which a tensor holds the value already."""
        held = self._held[name]
        return held[0].order if held else layouts.same(self.rank(name))

    def tensor(self, name: str, order: Order, integer: bool = False) -> int:
        """The tensor that holds a value, made if need be.

        Args:
            name: of the value.
            order: of its axes.
            integer: in integers; otherwise in float.
        """
        if self.is_constant(name):
            return self._constant_in(name, order, integer)
        alternatives = self._held[name]
        assert alternatives, f"{name} is used before it is computed"
        kind = [held for held in alternatives if (self._scaling(held) is not None) == integer]
        exact = next((held for held in kind if held.order == order), None)
        if exact is not None:
            return exact.tensor
        if kind:
            return self._transposed(name, kind[0], order)
        assert not integer, f"{name} is not in integers"
        source = self.tensor(name, order, integer=True)
        target = self._append(name, order, None)
        self.call(Code.DEQUANTIZE, [source], [target], schema.DequantizeOptionsT(), 2)
        return target

    def hold(self, name: str, order: Order, scaling: Scaling | None = None) -> int:
        """A new tensor that holds the value `name`.

        Args:
            name: of the value.
            order: of its axes.
            scaling: of int8; None for float.
        """
        return self._append(name, order, scaling)

    def alias(self, name: str, source: str, axes: Sequence[int] | None = None) -> None:
        """Let the tensors that hold a value hold another too, which is equal to it or its transpose.

        Args:
            name: of the other value.
            source: the value that tensors hold.
            axes: the permutation, as Transpose has it; None where the values are equal.
        """
        if source in self.kept:
            self.kept[name] = self.kept[source]
        elif source in self.constants:
            self.constants[name] = self.constants[source]
        self._held[name] += [
            held if axes is None else Held(held.tensor, layouts.transposed(held.order, axes))
            for held in self._held[source]
        ]
        if axes is None:
            self._flat[name] += self._flat[source]

    def is_held(self, name: str, integer: bool = False) -> bool:
        """Whether a tensor of that type holds the value already."""
        return any((self._scaling(held) is not None) == integer for held in self._held[name])

    def hold_as(self, name: str, tensor: int, order: Order) -> None:
        """Let an existing tensor hold a value.

        Args:
            name: of the value.
            tensor: its number.
            order: of its axes.
        """
        self._held[name].append(Held(tensor, order))

    def hold_flat(self, name: str, tensor: int, places: np.ndarray) -> None:
        """Let a tensor (N, features) hold a value with its features in another order.

        Args:
            name: of the value.
            tensor: its number.
            places: which feature of the value lies at each place, int (features,).
        """
        self._flat[name].append((tensor, places))

    def flattened(self, name: str, integer: bool) -> tuple[int, np.ndarray] | None:
        """A tensor that holds the value with its features in another order, and that order; None if none does."""
        kinds = (
            (self.graph.tensors[tensor].scaling is not None, tensor, places) for tensor, places in self._flat[name]
        )
        return next(((tensor, places) for kind, tensor, places in kinds if kind == integer), None)

    def between(self, shape: Sequence[int], scaling: Scaling | None = None, type_: int | None = None) -> int:
        """A new tensor for a step inside an operator that LiteRT has no single operator for.

        Args:
            shape: for one example.
            scaling: of int8; None for float.
            type_: another type.
        """
        found = (Type.FLOAT32 if scaling is None else Type.INT8) if type_ is None else type_
        self.graph.tensors.append(FileTensor(tuple(shape), found, scaling))
        return len(self.graph.tensors) - 1

    def constant(self, array: np.ndarray, scaling: Scaling | None = None) -> int:
        """A tensor with this content. Equal ones are stored once."""
        content = np.ascontiguousarray(array).tobytes()
        of = None if scaling is None else (scaling.scale.tobytes(), scaling.zero.tobytes(), scaling.axis)
        key = (content, array.dtype, array.shape, of)
        if key not in self._known:
            self.graph.tensors.append(FileTensor(array.shape, TYPES[array.dtype], scaling, content))
            self._known[key] = len(self.graph.tensors) - 1
        return self._known[key]

    def call(
        self, code: int, inputs: Iterable[int], outputs: Iterable[int], options: Any = None, version: int = 1
    ) -> None:
        """Append an operator.

        Args:
            code: a `BuiltinOperator`.
            inputs: tensors.
            outputs: tensors.
            options: an object of the operator's option class.
            version: of the operator.
        """
        self.graph.calls.append(FileOperator(code, version, list(inputs), list(outputs), options))

    def target(self, name: str) -> list[int]:
        """The shape of a value as the target of a Reshape: -1 where it grows with the batch."""
        return [-1 if self.free.get(name) == axis else size for axis, size in enumerate(self.shape(name))]

    def _scaling(self, held: Held) -> Scaling | None:
        return self.graph.tensors[held.tensor].scaling

    def _append(self, name: str, order: Order, scaling: Scaling | None) -> int:
        tensor = self.between(layouts.shaped(self.shape(name), order), scaling)
        self._held[name].append(Held(tensor, order))
        return tensor

    def _transposed(self, name: str, held: Held, order: Order) -> int:
        axes = layouts.between(held.order, order)
        target = self._append(name, order, self._scaling(held))
        shape = self.shape(name)
        if layouts.stays(shape, held.order, order):
            wanted = self.constant(np.array([self.target(name)[axis] for axis in order], np.int32))
            self.call(Code.RESHAPE, [held.tensor, wanted], [target])
            return target
        self.call(
            Code.TRANSPOSE,
            [held.tensor, self.constant(np.array(axes, np.int32))],
            [target],
            schema.TransposeOptionsT(),
            2 if self._scaling(held) else 1,
        )
        return target

    def _constant_in(self, name: str, order: Order, integer: bool) -> int:
        if name not in self.kept:
            assert not integer, f"{name} is not in integers"
            return self.constant(self.constants[name].transpose(order))
        kept = self.kept[name]
        scaling = kept.scaling
        if scaling is not None:
            scaling = Scaling(scaling.scale, scaling.zero, order.index(scaling.axis) if len(scaling.scale) > 1 else 0)
        return self.stored(Packed(kept.values.transpose(order), scaling), integer)

    def stored(self, kept: Packed, integer: bool) -> int:
        """A tensor with the content of `kept`; in float behind a Dequantize, which runs once, unless `integer`."""
        source = self.constant(kept.values, kept.scaling)
        if integer:
            return source
        key = ("real", source)
        if key not in self._known:
            self._known[key] = self.between(kept.values.shape)
            version = PER_CHANNEL if kept.scaling is not None and len(kept.scaling.scale) > 1 else 2
            self.call(Code.DEQUANTIZE, [source], [self._known[key]], schema.DequantizeOptionsT(), version)
        return self._known[key]


def option(made: Any, **fields: Any) -> Any:
    """An object of an option class of the schema, with these fields."""
    for name, value in fields.items():
        setattr(made, name, value)
    return made
