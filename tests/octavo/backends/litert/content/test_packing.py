"""The bytes of LiteRT files: readable, aligned, without what is stored twice."""

from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.backends.litert.content import tensors
from octavo.backends.litert.content.packing import FileGraph, FileOperator, FileTensor, Scaling, pack

Code, Type = schema.BuiltinOperator, schema.TensorType
VECTOR_OF_DATA = 4
"""Place of a buffer's data in its table."""


def offsets(content: bytes) -> list[tuple[int, int]]:
    """Where in the file the data of each buffer lies, and their length."""
    model = schema.Model.GetRootAsModel(content, 0)
    tables = [model.Buffers(place)._tab for place in range(model.BuffersLength())]
    found = [(table, table.Offset(VECTOR_OF_DATA)) for table in tables]
    return [(table.Vector(place), table.VectorLen(place)) for table, place in found if place]


def constant(values: np.ndarray, scaling: Scaling | None = None, name: str = "") -> FileTensor:
    kinds = {np.dtype(np.float32): Type.FLOAT32, np.dtype(np.int8): Type.INT8, np.dtype(np.int32): Type.INT32}
    return FileTensor(values.shape, kinds[values.dtype], scaling, values.tobytes(), name)


def sums(*constants: np.ndarray, metadata: dict[str, str] | None = None) -> FileGraph:
    """One sum of the input and each constant after another."""
    options = schema.AddOptionsT()
    options.potScaleInt16 = False
    shape = constants[0].shape
    given = [FileTensor(shape, Type.FLOAT32, name="images"), *(constant(values) for values in constants)]
    steps = [FileTensor(shape, Type.FLOAT32, name=f"sum{place}") for place in range(len(constants))]
    first = len(given)
    calls = [
        FileOperator(Code.ADD, 1, [0 if not place else first + place - 1, 1 + place], [first + place], options)
        for place in range(len(constants))
    ]
    return FileGraph([*given, *steps], calls, [0], [first + len(constants) - 1], metadata or {})


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=6),
    st.dictionaries(st.text(max_size=9), st.text(max_size=40), max_size=3),
)
def test_every_graph_is_read_back_and_its_data_are_aligned(shapes: list[list[int]], metadata: dict[str, str]) -> None:
    rng = np.random.default_rng(0)
    parts = [sums(rng.random(shape).astype(np.float32), rng.random(shape).astype(np.float32)) for shape in shapes]
    for part in parts:
        part.metadata = metadata
        content = pack(part)
        model = tensors.read(content)
        assert all(start % 16 == 0 for start, _ in offsets(content))
        assert tensors.metadata_of(model) == metadata
        for tensor, wanted in zip(model.subgraphs[0].tensors, part.tensors, strict=True):
            assert (tuple(tensor.shape), tensor.type) == (wanted.shape, wanted.type)
            held = model.buffers[tensor.buffer].data
            assert (None if held is None else bytes(held)) == wanted.data


def test_the_interpreter_computes_what_the_graph_says() -> None:
    rng = np.random.default_rng(0)
    constants = [rng.random((1, 5, 3)).astype(np.float32) for _ in range(3)]
    interpreter = Interpreter(model_content=pack(sums(*constants)))
    interpreter.allocate_tensors()
    images = rng.random((1, 5, 3)).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, images + sum(constants), rtol=1e-6)


def test_equal_parts_are_stored_once() -> None:
    values = np.arange(64, dtype=np.float32).reshape(8, 8)
    one, two = pack(sums(values)), pack(sums(values, values.copy()))
    assert len(offsets(two)) == len(offsets(one)) == 1
    other = pack(sums(values, values + 1))
    assert len(other) - len(two) >= values.nbytes


def test_scales_that_many_tensors_share_are_stored_once() -> None:
    channels = 500
    scaling = [Scaling(np.full(channels, 0.5, np.float32), np.zeros(channels, np.int64), axis) for axis in (0, 0, 1)]
    graph = sums(np.zeros((channels, 1), np.float32))
    sizes = []
    for count in (1, 2, 3):
        more = [constant(np.zeros((channels, channels), np.int8), each, f"w{at}") for at, each in enumerate(scaling)]
        sizes.append(len(pack(replace_tensors(graph, more[:count]))))
    assert sizes[1] - sizes[0] < 100
    assert sizes[2] - sizes[1] < 200


def replace_tensors(graph: FileGraph, more: list[FileTensor]) -> FileGraph:
    return FileGraph([*graph.tensors, *more], graph.calls, graph.inputs, graph.outputs, graph.metadata)


def test_scales_axes_and_zero_points_are_read_back() -> None:
    scaling = Scaling(np.array([0.5, 0.25], np.float32), np.array([3, -4]), 1)
    graph = replace_tensors(sums(np.zeros((2, 2), np.float32)), [constant(np.ones((3, 2), np.int8), scaling, "w")])
    found = tensors.read(pack(graph)).subgraphs[0].tensors[-1].quantization
    assert (found.scale.tolist(), found.zeroPoint.tolist(), found.quantizedDimension) == ([0.5, 0.25], [3, -4], 1)


def test_operators_with_new_numbers_are_read_by_old_and_new_readers() -> None:
    graph = sums(np.zeros((2, 2), np.float32))
    graph.calls = [replace(graph.calls[0], code=Code.GELU, version=2, inputs=[0], options=schema.GeluOptionsT())]
    (code,) = tensors.read(pack(graph)).operatorCodes
    assert code.builtinCode == Code.GELU > code.deprecatedBuiltinCode == 127
    assert code.version == 2


def test_an_omitted_input_stays_omitted() -> None:
    graph = sums(np.zeros((2, 2), np.float32))
    graph.calls = [replace(graph.calls[0], inputs=[0, 1, -1])]
    assert tensors.read(pack(graph)).subgraphs[0].operators[0].inputs.tolist() == [0, 1, -1]


def test_the_same_graph_gives_the_same_bytes() -> None:
    graph = sums(np.arange(8, dtype=np.float32), np.ones(8, np.float32), metadata={"a": "b", "c": "b"})
    assert len({pack(graph) for _ in range(3)}) == 1
