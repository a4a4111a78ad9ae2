"""Read a float network that another program wrote, in the form that recipes start from.

The names of its input and output stay, and so does what it computes. Only the form changes: initializers are no inputs,
constants are initializers, operators without effect are gone, functions are inlined, old opsets are raised, and a fixed
batch becomes free.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx
from onnx import inliner

from octavo.onnx_graph import external_tensors, file_io, qdq
from octavo.onnx_graph.external_tensors import Content
from octavo.onnx_graph.foreign import acceptance, free_batch, opsets, simplification
from octavo.onnx_graph.foreign.quantized import refusals
from octavo.project.files import damage

LONGEST = 120
"""Characters of a layer's name that are kept."""


@dataclass(frozen=True)
class Foreign:
    """A network with one input and one output, both float32, and a free batch."""

    model: onnx.ModelProto
    """Its large initializers are only declared; see `whole`. Operators have their names in the file as doc strings."""
    contents: dict[str, Content]
    """Contents of the declared initializers, as `canonicalize.save` takes them."""
    shape: tuple[int | None, ...]
    """Of one example as the network takes it; None for a free size."""
    batch: int | None
    """The batch size for which the file was written; None if it was free already."""
    opset: int
    """Of the file."""

    def whole(self) -> onnx.ModelProto:
        """The model with all of its weights inside."""
        return external_tensors.attach(self.model, self.contents)


@damage.told
def read(path: Path) -> Foreign:
    """Read a float network from an ONNX file. Whether it computes the same is for `comparison` to check.

    Raises:
        ModelError: the file is missing, damaged or takes weights from outside its folder; or the network is not one
            that recipes can start from. The message names the operator, input or output, and the next step.
    """
    model = file_io.load(path, accept=partial(acceptance.check_floats, path=path))
    acceptance.check_file(model, path)
    model = _without_functions(model, path)
    bare, contents = external_tensors.detach(simplification.in_raw_bytes(model))
    simplification.name_layers(bare, LONGEST)
    acceptance.check_modes(bare, path)
    simplification.simplify(bare)
    acceptance.check_graph(bare, path)
    refusals.check(bare, path)
    for name, values in external_tensors.arrays(bare, contents).items():
        acceptance.check_finite(name, values, path)
    opset = opsets.of(bare)
    opsets.raise_old(bare, path)
    simplification.simplify(bare)  # converters add constants
    batch = free_batch.free(bare, path)
    (source,) = bare.graph.input
    shape = tuple(dim.dim_value or None for dim in source.type.tensor_type.shape.dim[1:])
    try:
        external_tensors.check(bare)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise acceptance.invalid(path, error) from None
    return Foreign(bare, contents, shape, batch, opset)


def _without_functions(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # noqa: BLE001 - the library raises RuntimeError, ValueError or its own
        raise acceptance.invalid(path, error) from None


def ending(model: onnx.ModelProto) -> str | None:
    """`Softmax` or `Sigmoid` if that is the last operator that computes the output; None otherwise."""
    makers = qdq.producers(model)
    name = model.graph.output[0].name
    while name in makers and makers[name].op_type in ("Reshape", "Squeeze", "Flatten", "Unsqueeze"):
        name = makers[name].input[0]
    last = makers[name].op_type if name in makers else ""
    return last if last in ("Softmax", "Sigmoid") else None


def is_fake_quantized(model: onnx.ModelProto) -> bool:
    """Whether it was trained with fake quantization: operators of it quantize activations."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)
