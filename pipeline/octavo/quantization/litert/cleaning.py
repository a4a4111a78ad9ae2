"""Clean a LiteRT graph: what nothing reads goes, and a reduction takes in the reshape after it."""

from collections import Counter
from copy import copy
from dataclasses import replace

from octavo.backends.litert.content.packing import FileGraph, FileOperator, FileTensor
from octavo.quantization.litert.translation import Code

REDUCING = (Code.MEAN, Code.SUM, Code.REDUCE_MAX, Code.REDUCE_MIN, Code.REDUCE_PROD)


def clean(graph: FileGraph) -> tuple[FileGraph, dict[int, int]]:
    """The graph without unread operators and tensors, in the order in which they are used.

    Returns:
        The graph, and for each tensor that is left its former number -> its present one.
    """
    calls = _squeezed(graph, _joined(_read(graph.calls, graph.outputs)))
    calls = _read(calls, graph.outputs)
    order = dict.fromkeys(graph.inputs)
    order |= dict.fromkeys(tensor for call in calls for tensor in (*call.inputs, *call.outputs) if tensor >= 0)
    order |= dict.fromkeys(graph.outputs)
    numbers = {tensor: place for place, tensor in enumerate(order)}
    moved = [
        replace(
            call,
            inputs=[numbers.get(each, -1) for each in call.inputs],
            outputs=[numbers[each] for each in call.outputs],
        )
        for call in calls
    ]
    sources, targets = ([numbers[each] for each in side] for side in (graph.inputs, graph.outputs))
    taken = {tensor.name for tensor in graph.tensors if tensor.name}
    tensors = [_named(graph.tensors[tensor], place, taken) for place, tensor in enumerate(order)]
    return FileGraph(tensors, moved, sources, targets, graph.metadata), numbers


def _named(tensor: FileTensor, place: int, taken: set[str]) -> FileTensor:
    """The tensor with its number as name, unless it has one: some runtimes know tensors by their names."""
    name = str(place)
    while name in taken:
        name += "_"
    return tensor if tensor.name else replace(tensor, name=name)


def _read(calls: list[FileOperator], outputs: list[int]) -> list[FileOperator]:
    needed, kept = set(outputs), list[FileOperator]()
    for call in reversed(calls):
        if needed.intersection(call.outputs):
            needed.update(call.inputs)
            kept.append(call)
    return kept[::-1]


def _joined(calls: list[FileOperator]) -> list[FileOperator]:
    """The calls, with each reshape of a reshape taken from the first one's input."""
    source = {call.outputs[0]: call.inputs[0] for call in calls if call.code == Code.RESHAPE}
    found = []
    for call in calls:
        given = call.inputs[0] if call.code == Code.RESHAPE else -1
        while given in source:
            given = source[given]
        found.append(call if given < 0 else replace(call, inputs=[given, *call.inputs[1:]]))
    return found


def _squeezed(graph: FileGraph, calls: list[FileOperator]) -> list[FileOperator]:
    """The calls, with reductions that drop axes themselves if a reshape is the only one to read them, and does it."""
    readers = Counter(tensor for call in calls for tensor in call.inputs) + Counter(graph.outputs)
    makers = {call.outputs[0]: place for place, call in enumerate(calls)}
    found: list[FileOperator | None] = list(calls)
    for place, call in enumerate(calls):
        maker = makers.get(call.inputs[0]) if call.code == Code.RESHAPE else None
        if maker is None or calls[maker].code not in REDUCING or readers[call.inputs[0]] != 1:
            continue
        reduction, target = calls[maker], graph.tensors[call.outputs[0]].shape
        kept = graph.tensors[reduction.outputs[0]].shape
        if not reduction.options.keepDims or [size for size in kept[1:] if size > 1] != [
            size for size in target[1:] if size > 1
        ]:
            continue
        if len(kept) - len(target) != len(_axes(graph, reduction)) or target[:1] != kept[:1]:
            continue
        options = copy(reduction.options)
        options.keepDims = False
        found[maker] = None
        found[place] = replace(reduction, outputs=call.outputs, options=options)
    return [call for call in found if call is not None]


def _axes(graph: FileGraph, reduction: FileOperator) -> list[int]:
    data = graph.tensors[reduction.inputs[1]].data or b""
    return [int.from_bytes(data[start : start + 4], "little", signed=True) for start in range(0, len(data), 4)]
