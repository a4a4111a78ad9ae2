"""Inspect LiteRT files: parameters and operators as stored in the file. The interpreter runs just these operators."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from octavo.backends.litert.content.file import BODIES, Code, File
from octavo.backends.litert.macs import FORMULAS, Shape, count
from octavo.backends.litert.parameters import FLOATS, parameters
from octavo.backends.operators import MOVERS, Operator, either, repeated
from octavo.backends.records import Interface, Tensor
from octavo.project.files import damage

__all__ = ["interface", "operators", "output_step", "parameters"]

Type = schema.TensorType
CONVERTERS = {"Quantize", "Dequantize", "Cast"}
HYBRID = FORMULAS.keys() - {Code.CONV_3D, Code.CONV_3D_TRANSPOSE}
"""Operators with kernels that quantize float inputs themselves if all of their weights are integers."""
DTYPES = {value: name.lower() for name, value in vars(Type).items() if isinstance(value, int)}

Shapes = Sequence[dict[int, Shape]]
"""For each graph: number of a tensor -> its shape."""


@damage.told
def operators(path: Path, images: np.ndarray | None = None) -> list[Operator]:
    """Operators in the order in which they run, including those of called graphs.

    Args:
        path: the file.
        images: at least one image (N, H, W[, C]) in the file's input encoding. Needed only if dimensions other than the
            batch are free: then the cost depends on the size of the images, and is unknown without them.

    Raises:
        ModelError: the file cannot be read.
    """
    file = File(path)
    shapes = _shapes(path, images)
    return list(_operators(file, 0, shapes))


@damage.told
def interface(path: Path) -> Interface:
    """The first input and output, as the file declares them.

    Raises:
        ModelError: the file cannot be read.
    """
    (graph, *_) = File(path).graphs
    source, target = (_tensor(graph.tensors[ends[0]]) for ends in (graph.inputs, graph.outputs))
    return Interface(input=source, output=target)


@damage.told
def output_step(path: Path) -> float | None:
    """The scale of the integers that the logits come from, or None if the logits are computed in float.

    Raises:
        ModelError: the file cannot be read.
    """
    file = File(path)
    (graph, *_) = file.graphs
    makers = {output: operator for operator in graph.operators for output in operator.outputs}
    index = graph.outputs[0]
    if index in makers and file.code(makers[index]) == Code.DEQUANTIZE:
        index = makers[index].inputs[0]
    return _scale(graph.tensors[index])


def _tensor(tensor: schema.TensorT) -> Tensor:
    """The first dimension is the batch and free, even if the file declares a size: the interpreter can change it."""
    made = Tensor(name=tensor.name.decode(), dtype=DTYPES[tensor.type], shape=(None, *map(int, tensor.shape[1:])))
    scale = _scale(tensor)
    zero = None if scale is None else int(tensor.quantization.zeroPoint[0])
    return made.model_copy(update={"scale": scale, "zero": zero})


def _scale(tensor: schema.TensorT) -> float | None:
    """The scale of an integer tensor with exactly one scale; None for other tensors."""
    scales = tensor.quantization.scale if tensor.quantization else None
    return None if tensor.type in FLOATS or scales is None or len(scales) != 1 else float(scales[0])


def _operators(file: File, place: int, shapes: Shapes | None) -> Iterator[Operator]:
    graph = file.graphs[place]
    for number, operator in enumerate(graph.operators or ()):
        output = graph.tensors[operator.outputs[0]] if len(operator.outputs) else None
        label = output.name.decode().split(";")[0] if output is not None else file.type(operator)
        name = f"{place}/{number}:{label}" if place else f"{number}:{label}"
        macs = _macs(file, operator, shapes[place] if shapes else None)
        yield Operator(name, file.type(operator), macs, _is_integer(file, graph, operator))
        parts = [list(_operators(file, body, shapes)) for body in file.bodies(operator)]
        match file.code(operator):
            case Code.IF:
                yield from either(*parts)
            case Code.WHILE:
                yield from repeated([each for part in parts for each in part], None)
            case Code.CALL_ONCE:
                yield from repeated(parts[0], 0)
            case _:
                yield from (each for part in parts for each in part)


def _macs(file: File, operator: schema.OperatorT, shapes: dict[int, Shape] | None) -> int | None:
    code = file.code(operator)
    if code in BODIES or (shapes is not None and code not in FORMULAS):
        return 0 if code in BODIES else count(code, operator, [], ())
    if shapes is None:
        return None if code in FORMULAS else count(code, operator, [], ())
    inputs = [shapes.get(int(index)) if index >= 0 else None for index in operator.inputs]
    return count(code, operator, inputs, shapes[int(operator.outputs[0])])


def _is_integer(file: File, graph: schema.SubGraphT, operator: schema.OperatorT) -> bool:
    """Judged by the type of the output, or by the weights if the operator quantizes its input itself."""
    code = file.code(operator)
    if file.type(operator) in MOVERS | CONVERTERS or code in BODIES:
        return True
    inputs = [graph.tensors[index] for index in operator.inputs if index >= 0]
    stored = [tensor for tensor in inputs[1:] if file.stored_bytes(tensor) and len(tensor.shape) > 1]
    if code in HYBRID and stored and not any(tensor.type in FLOATS for tensor in stored):
        return True
    return not any(graph.tensors[index].type in FLOATS for index in operator.outputs[:1])


def _shapes(path: Path, images: np.ndarray | None) -> Shapes | None:
    """The shapes of all tensors for one image, found by running the file on zeros.

    A file that cannot run on a single image is run on its declared batch size. None if this fails too, or if the size
    of an image is unknown.
    """
    return _run(path, images, batch=1) or _run(path, images, batch=None)


def _run(path: Path, images: np.ndarray | None, batch: int | None) -> Shapes | None:
    try:
        interpreter = Interpreter(
            model_path=str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        for place, source in enumerate(interpreter.get_input_details()):
            size = _size(source["shape_signature"], source["shape"], images if place == 0 else None)
            if size is None:
                return None
            interpreter.resize_tensor_input(source["index"], (batch or int(source["shape"][0]), *size))
        interpreter.allocate_tensors()
        for source in interpreter.get_input_details():
            interpreter.set_tensor(source["index"], np.zeros(source["shape"], source["dtype"]))
        interpreter.invoke()
    except (ValueError, RuntimeError):
        return None
    return [
        {details["index"]: tuple(map(int, details["shape"])) for details in interpreter.get_tensor_details(graph)}
        for graph in range(interpreter.num_subgraphs())
    ]


def _size(signature: np.ndarray, shape: np.ndarray, images: np.ndarray | None) -> Shape | None:
    """The shape of one image; None if the declared size is free and there are no images."""
    if images is not None:
        return images.shape[1:]
    declared = signature if len(signature) else shape
    return None if any(size < 0 for size in declared[1:]) else tuple(map(int, declared[1:]))
