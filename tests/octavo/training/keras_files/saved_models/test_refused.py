"""A SavedModel that does more than compute is refused by the name of what it does, and nothing of it runs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

from octavo.project.errors import ModelError
from octavo.training.keras_files.saved_models import flattening, reading
from tests.octavo.training.keras_files.saved_models import made

pytestmark = pytest.mark.slow
RAN: list[str] = []


def python(values: tf.Tensor) -> tf.Tensor:
    def run(given: np.ndarray) -> np.ndarray:
        RAN.append("python")
        return given

    return tf.ensure_shape(tf.numpy_function(run, [values], tf.float32), (None, 4))


def after(effect: object, values: tf.Tensor) -> tf.Tensor:
    return values * 2.0 if effect is not None else values


COUNT, NAN = tf.Variable(0.0), tf.Variable(np.full((4, 3), np.nan, np.float32), name="kernel")
NETWORKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "reads a file": (lambda x: x + tf.strings.to_number(tf.io.read_file("secret.txt")),
                     "operators StringToNumber .*ReadFile"),
    "reads bytes": (lambda x: x + tf.cast(tf.io.decode_raw(tf.io.read_file("secret.txt"), tf.uint8)[0], tf.float32),
                    "operators DecodeRaw .*ReadFile"),
    "lists files": (lambda x: x + tf.strings.to_number(tf.io.matching_files("*")[0]), "MatchingFiles"),
    "writes a file": (lambda x: after(tf.io.write_file("written.txt", "here") or 0, x), "operator WriteFile"),
    "prints": (lambda x: after(tf.print(x) or 0, x), "operators PrintV2"),
    "runs Python": (python, "operator PyFunc"),
    "throws dice": (lambda x: x + tf.random.uniform((4,)), "RandomUniform .*the same values each time"),
    "counts its calls": (lambda x: after(COUNT.assign_add(1.0), x), "operator AssignAddVariableOp"),
    "repeats": (lambda x: tf.while_loop(lambda each: tf.reduce_sum(each) < 9.0, lambda each: (each * 2.0,), [x],
                                        shape_invariants=[tf.TensorShape((None, 4))])[0], "While .*control flow"),
    "computes in half": (lambda x: tf.cast(tf.cast(x, tf.float16) * 2, tf.float32), "type half.*float32"),
    "fills the memory": (lambda x: x + tf.reduce_sum(tf.fill([10**6, 10**4], 1.0)), r"Fill .*shape \(1000000, 10000\)"),
    "gives its input back": (tf.identity, "computes nothing"),
    "gives a constant": (lambda _: tf.ones((3, 4)), "not computed from the input x"),
    "has NaN": (lambda x: x @ NAN, "12 of 12 values of .* are NaN"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("secret.txt").write_text("1")
    RAN.clear()
    return tmp_path


def refused(said: str) -> None:
    with pytest.raises(ModelError, match=said) as error:
        reading.read(Path("given"))
    assert "Traceback" not in str(error.value)
    assert not RAN
    assert not Path("written.txt").exists()


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_that_does_more_than_compute(network: str) -> None:
    serve, said = NETWORKS[network]
    made.saved(Path("given"), serve, count=COUNT, kernel=NAN)
    refused(said)


@pytest.mark.parametrize(
    ("shape", "said"), [((2, 4), "batches of 2.*free batch"), (None, "no declared shape"), ((None,), "has 1 axes")]
)
def test_an_input_of_another_form(shape: Any, said: str) -> None:
    made.saved(Path("given"), lambda x: x * 2.0, shape)
    refused(said)


def looks_up(table: Any) -> Callable[[Any], Any]:
    def network(values: tf.Tensor) -> tf.Tensor:
        found = table.lookup(tf.cast(values, tf.int64))
        return found if found.dtype == tf.float32 else tf.strings.to_number(found)

    return network


def test_tables_and_files_beside() -> None:
    Path("words.txt").write_text("a\nb\n")
    rows, lines = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
    words = tf.lookup.TextFileInitializer("words.txt", tf.int64, rows, tf.string, lines)
    numbers = tf.lookup.KeyValueTensorInitializer([0], [1.0], tf.int64, tf.float32)
    for initial, default, said in (
        (words, "?", r"reads files \(assets\): words\.txt"),
        (numbers, 0.0, "LookupTableFindV2"),
    ):
        table = tf.lookup.StaticHashTable(initial, default)

        shutil.rmtree("given", ignore_errors=True)
        made.saved(Path("given"), looks_up(table), table=table)
        refused(said)


def test_signatures_that_are_not_one_tensor_to_one() -> None:
    spec = tf.TensorSpec((None, 4), tf.float32)
    module = tf.Module()
    module.two = tf.function(lambda a, b: a + b, input_signature=[spec, spec])
    module.one = tf.function(lambda a: {"low": a - 1.0, "high": a + 1.0}, input_signature=[spec])
    module.text = tf.function(tf.strings.to_number, input_signature=[tf.TensorSpec((None, 4), tf.string, name="text")])
    for signatures, said in (
        ({"serving_default": module.two}, r"2 inputs \(a, b\)"),
        ({"serving_default": module.one}, r"2 outputs \(high, low\)"),
        ({"serving_default": module.text}, "input text of given is string"),
        ({"first": module.two, "second": module.one}, r"2 signatures \(first, second\).*serving_default"),
        ({}, r"0 signatures \(none\)"),
    ):
        shutil.rmtree("given", ignore_errors=True)
        tf.saved_model.save(module, "given", signatures=signatures)
        refused(said)


def functions(meta: MetaGraphDef) -> list[FunctionDef]:
    return [each for each in meta.graph_def.library.function if "traced" not in each.signature.name]


def operator(meta: MetaGraphDef, kind: str) -> NodeDef:
    return next(node for function in functions(meta) for node in function.node_def if node.op == kind)


def calls_itself(meta: MetaGraphDef) -> None:
    for function in functions(meta):
        for node in function.node_def:
            if node.op == "StatefulPartitionedCall":
                node.attr["f"].func.name = function.signature.name


def calls_twice_forty_times(meta: MetaGraphDef) -> None:
    """Each function calls the next one twice: a few lines that are 2**40 operators."""
    kind = types_pb2.DT_FLOAT
    for place in range(40):
        function = meta.graph_def.library.function.add(ret={"y": "second:output:0"})
        function.signature.name = f"level{place}"
        function.signature.input_arg.add(name="x", type=kind)
        function.signature.output_arg.add(name="y", type=kind)
        for name, given in (("first", "x"), ("second", "first:output:0")):
            node = function.node_def.add(name=name, op="PartitionedCall", input=[given])
            node.attr["f"].func.name = f"level{place + 1}"
    last = meta.graph_def.library.function.add(ret={"y": "x"})
    last.signature.name = "level40"
    last.signature.input_arg.add(name="x", type=kind)
    last.signature.output_arg.add(name="y", type=kind)
    call = next(node for node in meta.graph_def.node if node.name == "StatefulPartitionedCall")
    call.attr["f"].func.name = "level0"
    del call.input[1:]


def declares_a_huge_constant(meta: MetaGraphDef) -> None:
    tensor = operator(meta, "Const").attr["value"].tensor
    tensor.Clear()
    tensor.dtype = types_pb2.DT_FLOAT
    tensor.float_val[:] = [1.0]
    for size in (2**20, 2**12):
        tensor.tensor_shape.dim.add(size=size)


def declares_a_huge_variable(meta: MetaGraphDef) -> None:
    variable = next(node for node in meta.graph_def.node if node.op == "VarHandleOp")
    variable.attr["shape"].shape.dim[0].size = 10**9


def renames(kind: str) -> Callable[[MetaGraphDef], None]:
    def change(meta: MetaGraphDef) -> None:
        operator(meta, "Relu").op = kind

    return change


def turns_in_a_circle(meta: MetaGraphDef) -> None:
    operator(meta, "Mul").input[1] = "Relu:activations:0"


def refers_to_much(meta: MetaGraphDef) -> None:
    operator(meta, "Relu").input[0] = f"mul:z:{'9' * 5000}"


CHANGES: dict[str, tuple[Callable[[MetaGraphDef], None], str]] = {
    "a function calls itself": (calls_itself, "calls itself"),
    "functions call functions": (calls_twice_forty_times, "more than 4,096 operators"),
    "a huge constant": (declares_a_huge_constant, r"17,179,869,184 bytes, and at most"),
    "a huge variable": (declares_a_huge_variable, r"Variable w of given is stored as float32 \[4, 3\]"),
    "an operator of its own": (renames("MyOperator"), r"operator MyOperator \(Relu\)"),
    "a circle": (turns_in_a_circle, "nodes in a cycle"),
    "a long number": (refers_to_much, "damaged: it refers to"),
    "no functions": (lambda meta: meta.graph_def.library.Clear(), "damaged: it calls a function"),
    "no way to restore": (lambda meta: meta.saver_def.Clear(), "no stored value of variable w"),
    "another tag": (lambda meta: meta.meta_info_def.tags.append("gpu"), "tags serve, gpu, and"),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "given"
    kernel = tf.Variable(np.ones((4, 3), np.float32), name="w")
    made.saved(folder, lambda x: tf.nn.relu(x * 2.0) @ kernel, kernel=kernel)
    assert reading.read(folder).run(np.ones((2, 4), np.float32)).tolist() == [[8.0] * 3] * 2
    return folder


@pytest.mark.parametrize("change", CHANGES)
def test_a_graph_that_was_changed(change: str, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flattening, "MOST", 2**12)
    shutil.copytree(plain, "given")
    made.changed(Path("given"), CHANGES[change][0])
    refused(CHANGES[change][1])


def links_to(path: Path, other: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(other)


def test_files_that_are_not_those_of_a_network(plain: Path) -> None:
    data, index = Path("given/variables/variables.data-00000-of-00001"), Path("given/variables/variables.index")
    graph = Path("given/saved_model.pb")
    changes: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: links_to(data, "../../secret.txt"), "data-00000-of-00001 is a link"),
        (lambda: links_to(Path("given/more"), ".."), "given/more is a link"),
        (index.unlink, "no file variables/variables.index"),
        (lambda: index.write_bytes(b"index" * 99), "variables of given cannot be read"),
        (lambda: data.write_bytes(data.read_bytes()[:8]), "larger than the files|cannot be read"),
        (lambda: graph.write_bytes(b"\x12\xffgraph"), "saved_model.pb is damaged"),
        (lambda: graph.write_bytes(b""), "tags none"),
        (graph.unlink, "not a SavedModel, which is a folder with saved_model.pb"),
    )  # fmt: skip
    for change, said in changes:
        shutil.rmtree("given", ignore_errors=True)
        shutil.copytree(plain, "given")
        change()
        refused(said)
