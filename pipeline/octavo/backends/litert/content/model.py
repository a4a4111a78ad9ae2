"""Read a LiteRT file into objects, and check all its indices before they are used."""

from collections.abc import Iterator
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert import trial
from octavo.backends.litert.content import tensors
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write, damage

LARGEST = 2**31
"""Size limit in bytes: the offsets in a flatbuffer have 31 bits."""
TYPES = {value for value in vars(schema.TensorType).values() if isinstance(value, int)}


@damage.told
def load(path: Path) -> schema.ModelT:
    """The model in the file at `path`. All its indices are valid.

    Raises:
        ModelError: the file cannot be read, LiteRT cannot load it, or it is inconsistent.
    """
    trial.check(path)
    try:
        content = atomic_write.content(path, LARGEST)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}. Run dvc repro.") from None
    model = tensors.read(content)
    for fault in _faults(model):
        raise ModelError(f"{path} is damaged: {fault}. Make it again.")
    return model


def _faults(model: schema.ModelT) -> Iterator[str]:
    if not model.subgraphs or not model.buffers:
        yield "it has no graph, or no buffers"
        return
    for place, graph in enumerate(model.subgraphs):
        yield from (f"graph {place} {fault}" for fault in _graph_faults(model, graph))


def _graph_faults(model: schema.ModelT, graph: schema.SubGraphT) -> Iterator[str]:
    graph.tensors, graph.operators = graph.tensors or [], graph.operators or []
    count = len(graph.tensors)
    for number, tensor in enumerate(graph.tensors):
        tensor.name = b"" if tensor.name is None else tensor.name
        tensor.shape = [] if tensor.shape is None else tensor.shape
        if not 0 <= tensor.buffer < len(model.buffers) or tensor.type not in TYPES:
            yield f"has a tensor {number} of buffer {tensor.buffer} and type {tensor.type}"
        if any(size < 0 for size in tensor.shape):
            yield f"has a tensor {number} of shape {list(map(int, tensor.shape))}"
    for what in (graph, *graph.operators):
        what.inputs, what.outputs = ([] if ends is None else ends for ends in (what.inputs, what.outputs))
        optional = -1 if what is not graph else 0
        strays = [int(end) for end in what.inputs if not optional <= end < count]
        strays += [int(end) for end in what.outputs if not 0 <= end < count]
        if strays:
            yield f"has {count} tensors, but an operator or the graph itself refers to tensor {strays[0]}"
    codes = len(model.operatorCodes or ())
    if any(not 0 <= operator.opcodeIndex < codes for operator in graph.operators):
        yield f"has an operator whose code is not among the file's {codes}"
