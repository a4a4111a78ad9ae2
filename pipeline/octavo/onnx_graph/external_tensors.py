"""Keep the large weights of an ONNX graph outside the graph, so that work on the graph does not copy them.

Protobuf frees nothing before the whole message is freed, and every copy of a model copies its weights.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import onnx
from google.protobuf.message import Message
from onnx import TensorProto, helper

LARGE = 2**16
"""An initializer of this many bytes or more is kept outside."""
LOCATION = "location"

AnyMessage = TypeVar("AnyMessage", bound=Message)


@dataclass(frozen=True)
class Content:
    """The content of an initializer, wherever it is stored."""

    size: int
    read: Callable[[], bytes | memoryview]

    @classmethod
    def of_tensor(cls, tensor: TensorProto) -> "Content":
        return cls(len(tensor.raw_data), lambda: tensor.raw_data)

    @classmethod
    def of_array(cls, array: np.ndarray) -> "Content":
        """Without a copy, if the array is contiguous."""
        return cls(array.nbytes, lambda: np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def digest(self) -> bytes:
        """A digest of the bytes (BLAKE2b, 32 bytes)."""
        return hashlib.blake2b(self.read(), digest_size=32).digest()


def detach(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, Content]]:
    """A copy of `model` that only declares its large initializers, and their contents by key."""
    bare = only(model, lambda field: field != "graph")
    bare.graph.CopyFrom(only(model.graph, lambda field: field != "initializer"))
    contents: dict[str, Content] = {}
    for tensor in model.graph.initializer:
        content = Content.of_tensor(tensor)
        if content.size >= LARGE:
            declare(bare.graph, tensor.name, tensor.data_type, tensor.dims)
            contents[tensor.name] = content
        else:
            bare.graph.initializer.add().CopyFrom(tensor)
    return bare, contents


def attach(bare: onnx.ModelProto, contents: Mapping[str, Content]) -> onnx.ModelProto:
    """The model with all of its contents inside."""
    model = only(bare, lambda _: True)
    for tensor in model.graph.initializer:
        if is_declared(tensor):
            tensor.raw_data = bytes(contents[key(tensor)].read())
            tensor.ClearField("data_location")
            del tensor.external_data[:]
    return model


def arrays(bare: onnx.ModelProto, contents: Mapping[str, Content]) -> dict[str, np.ndarray]:
    """The arrays of the declared initializers, by their present names."""
    return {
        tensor.name: np.frombuffer(
            contents[key(tensor)].read(), helper.tensor_dtype_to_np_dtype(tensor.data_type)
        ).reshape(tensor.dims)
        for tensor in bare.graph.initializer
        if is_declared(tensor)
    }


def declare(graph: onnx.GraphProto, name: str, data_type: int, dims: Iterable[int]) -> None:
    """Add an initializer whose content is stored elsewhere, under the key `name`, even if it is renamed later.

    Args:
        graph: changed in place.
        name: of the initializer, and key of its content.
        data_type: as in `TensorProto.DataType`.
        dims: its shape.
    """
    tensor = graph.initializer.add(name=name, data_type=data_type, dims=dims, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key=LOCATION, value=name)


def is_declared(tensor: TensorProto) -> bool:
    """Whether the tensor's content is stored elsewhere."""
    return bool(tensor.data_location == TensorProto.EXTERNAL)


def key(tensor: TensorProto) -> str:
    """The key of a declared initializer's content."""
    (location,) = [entry.value for entry in tensor.external_data if entry.key == LOCATION]
    return str(location)


def check(bare: onnx.ModelProto) -> None:
    """Check the graph against the ONNX standard. A declared initializer counts as an input of its type and shape.

    Raises:
        onnx.checker.ValidationError: it is not valid ONNX.
        onnx.shape_inference.InferenceError: types or shapes contradict each other.
    """
    probe = only(bare, lambda _: True)
    declared = [tensor for tensor in bare.graph.initializer if is_declared(tensor)]
    del probe.graph.initializer[:]
    probe.graph.initializer.extend(tensor for tensor in bare.graph.initializer if not is_declared(tensor))
    probe.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in declared
    )
    onnx.checker.check_model(probe, full_check=True)


def only(message: AnyMessage, keep: Callable[[str], bool]) -> AnyMessage:
    """A copy of the fields that `keep` names."""
    part = type(message)()
    for field, value in message.ListFields():
        if not keep(field.name):
            continue
        if isinstance(value, Message):
            getattr(part, field.name).CopyFrom(value)
        elif hasattr(value, "MergeFrom"):
            getattr(part, field.name).MergeFrom(value)
        else:
            setattr(part, field.name, value)
    return part
