"""ONNX files: the bytes that protobuf would write, two files past its limit, and no weights from elsewhere."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from octavo.backends.onnxruntime import intermediate_outputs
from octavo.backends.registry import open_model
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize, external_tensors, file_io
from octavo.project.errors import ModelError

IMAGES = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)


def network(width: int = 30) -> onnx.ModelProto:
    """Two dense layers, one bias stored as floats instead of bytes."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (40, width), "b1": (width,), "w2": (width, 10), "b2": (10,)}
    stored = [numpy_helper.from_array(rng.normal(size=each).astype(np.float32), name) for name, each in shapes.items()]
    values = numpy_helper.to_array(stored[3])
    stored[3] = helper.make_tensor("b2", TensorProto.FLOAT, values.shape, values)
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["y"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in (("x", 40), ("y", 10))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The network where protobuf's limit is 3 kB; its largest two tensors lie in the second file."""
    monkeypatch.setattr(external_tensors, "LARGE", 500)
    monkeypatch.setattr(file_io, "LIMIT", 3000)
    canonicalize.save(network(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def pointing_to(location: str, path: Path, inside_node: bool = False) -> Path:
    """The network at `path` with one tensor's data at `location`."""
    model = network()
    tensor = model.graph.initializer[0]
    if inside_node:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=TensorProto(dims=[1], data_type=1)))
        tensor = model.graph.node[0].attribute[0].t
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("large", [1, 500, 2**16])
def test_one_file_has_the_bytes_that_protobuf_writes(
    large: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = canonicalize.canonical(network()).SerializeToString(deterministic=True)
    monkeypatch.setattr(external_tensors, "LARGE", large)
    canonicalize.save(network(), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_what_is_saved_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_tensors, "LARGE", 1)
    model, copy = network(), network()
    canonicalize.save(model, tmp_path / "model.onnx")
    assert model == copy


def test_past_protobufs_limit_large_weights_go_beside(two_files: Path) -> None:
    data = two_files.with_name("model.onnx.data")
    tensors = list(onnx.load(two_files, load_external_data=False).graph.initializer)
    outside = [{entry.key: entry.value for entry in tensor.external_data} for tensor in tensors if tensor.external_data]
    assert [(each["location"], int(each["offset"]) % 4096, int(each["length"])) for each in outside] == [
        (data.name, 0, 40 * 30 * 4),
        (data.name, 0, 30 * 10 * 4),
    ]
    assert two_files.stat().st_size < 1000
    onnx.checker.check_model(two_files, full_check=True)
    assert file_io.external_data(two_files) == [data]
    assert canonicalize.canonical(file_io.load(two_files)) == canonicalize.canonical(network())


def test_two_files_run_like_one(two_files: Path, tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "one.onnx")
    np.testing.assert_array_equal(open_model(two_files)(IMAGES), open_model(tmp_path / "one.onnx")(IMAGES))


def test_two_files_have_the_same_bytes_every_time(two_files: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / "model.onnx"
    canonicalize.save(file_io.load(two_files), again)
    for name in ("model.onnx", "model.onnx.data"):
        assert again.with_name(name).read_bytes() == two_files.with_name(name).read_bytes()


def test_a_model_that_fits_again_leaves_no_data_behind(two_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    canonicalize.save(network(), two_files)
    assert [path.name for path in two_files.parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("inside_node", [False, True])
@pytest.mark.parametrize("location", ["../secret", "sub/../../secret", "{root}/secret", "link"])
def test_weights_from_outside_the_folder_are_refused(location: str, inside_node: bool, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(40 * 30 * 4))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "link").symlink_to(tmp_path / "secret")
    path = pointing_to(location.format(root=tmp_path), tmp_path / "models" / "model.onnx", inside_node)
    for opened in (file_io.load, open_model):
        with pytest.raises(ModelError, match="outside its folder"):
            opened(path)


@pytest.mark.parametrize("locations", [(), ("model.onnx", "../secret"), ("../secret", "model.onnx")])
def test_weights_with_no_place_or_two_are_refused(locations: tuple[str, ...], tmp_path: Path) -> None:
    path = pointing_to("location", tmp_path / "model.onnx")
    model = onnx.load(path, load_external_data=False)
    del model.graph.initializer[0].external_data[:]
    for location in locations:
        model.graph.initializer[0].external_data.add(key="location", value=location)
    model.doc_string = "location"
    path.write_bytes(model.SerializeToString())
    for opened in (file_io.load, open_model):
        with pytest.raises(ModelError, match="does not name one file for its weights"):
            opened(path)


def test_weights_are_not_read_from_memory(tmp_path: Path) -> None:
    """Such places onnxruntime writes for itself, with an address for an offset."""
    path = pointing_to("*/_ORT_MEM_ADDR_/*", tmp_path / "model.onnx")
    for opened in (file_io.load, open_model):
        with pytest.raises(ModelError, match="which is not a file"):
            opened(path)


def test_missing_data_and_files_that_are_not_onnx_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"location, but no protobuf")
    for path in (pointing_to("nowhere", tmp_path / "model.onnx"), broken, tmp_path / "none.onnx"):
        with pytest.raises(ModelError, match=str(path)):
            file_io.load(path)


MEMORY = """
import sys
from pathlib import Path
from octavo.onnx_graph import canonicalize
from tests.octavo.onnx_graph.test_file_io import network, resident
model = network(width=500_000)
Path("/proc/self/clear_refs").write_text("5")
before, target = resident("VmRSS"), Path(sys.argv[1], "model.onnx")
canonicalize.save(model, target)
print((resident("VmHWM") - before) / target.stat().st_size)
"""


def resident(field: str) -> int:
    """Bytes of this process in memory: now (VmRSS), or at most (VmHWM)."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_saving_copies_one_tensor_at_a_time(tmp_path: Path) -> None:
    """The larger one is 80% of these 100 MB."""
    command = [sys.executable, "-c", MEMORY, str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True)
    assert 0.7 < float(done.stdout) < 1.2


def outside(location: str, **entries: str) -> onnx.ModelProto:
    """The network with its first weights elsewhere."""
    model = network()
    (weights, *_) = model.graph.initializer
    size = len(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": location, "offset": "0", "length": str(size)} | entries).items():
        weights.external_data.add(key=key, value=value)
    return model


READERS = (file_io.load, file_io.external_data, open_model, integer_coverage.interface, integer_coverage.prove)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("location", ["a\0b", "x" * 5000, "x" * 300, "../" * 2000 + "etc/passwd", "/dev/zero", "", "."])
def test_a_place_for_weights_that_can_be_none_is_one_sentence(
    read: Callable[[Path], Any], location: str, tmp_path: Path
) -> None:
    (tmp_path / "m.onnx").write_bytes(outside(location).SerializeToString())
    with pytest.raises(ModelError, match=r"m\.onnx") as raised:
        read(tmp_path / "m.onnx")
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(
    "entries",
    [
        {"offset": "-1"},
        {"offset": "9" * 5000},
        {"offset": "4"},
        {"length": "3"},
        {"length": "0x10"},
        {"length": "1" * 15},
    ],
)
def test_weights_of_another_size_are_one_sentence(entries: dict[str, str], tmp_path: Path) -> None:
    whole = numpy_helper.to_array(network().graph.initializer[0]).tobytes()
    (tmp_path / "w.data").write_bytes(whole)
    (tmp_path / "m.onnx").write_bytes(outside("w.data").SerializeToString())
    assert file_io.load(tmp_path / "m.onnx").graph.initializer[0].raw_data == whole

    (tmp_path / "m.onnx").write_bytes(outside("w.data", **entries).SerializeToString())
    with pytest.raises(ModelError, match=r"m\.onnx is damaged: tensor w1 of 4,800 bytes is not whole in w\.data"):
        file_io.load(tmp_path / "m.onnx")


def test_weights_in_a_pipe_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.data")
    (tmp_path / "m.onnx").write_bytes(outside("w.data").SerializeToString())
    with pytest.raises(ModelError, match="which is not a file"):
        file_io.load(tmp_path / "m.onnx")


def _cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "r"


def _calls_itself(model: onnx.ModelProto) -> None:
    node = helper.make_node("F", ["a"], ["b"], domain="own")
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [node], []))


CONTRADICTIONS: dict[str, tuple[Callable[[onnx.ModelProto], Any], str]] = {
    "fewer bytes than its shape": (lambda model: model.graph.initializer[0].dims.append(10**12), "tensor w1 has 4,800"),
    "a negative shape": (lambda model: model.graph.initializer[0].dims.__setitem__(0, -1), "tensor w1 has the shape"),
    "no such type": (lambda model: setattr(model.graph.initializer[0], "data_type", 99), "tensor w1 has the shape"),
    "a circle": (_cycle, "an operator Gemm reads 'r'"),
    "no output": (lambda model: model.graph.ClearField("output"), "it has no input, or no output"),
    "no input": (lambda model: model.graph.ClearField("input"), "it has no input, or no output"),
    "a function that calls itself": (_calls_itself, "its function 'F' calls itself"),
}


@pytest.mark.parametrize(("change", "why"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_file_that_contradicts_itself_is_one_sentence(
    change: Callable[[onnx.ModelProto], Any], why: str, tmp_path: Path
) -> None:
    model = network()
    change(model)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=rf"m\.onnx is damaged: {why}"):
        integer_coverage.interface(tmp_path / "m.onnx")


@pytest.mark.parametrize("read", [open_model, integer_coverage.prove])
def test_names_that_are_not_utf_8_are_one_sentence(read: Callable[[Path], Any], tmp_path: Path) -> None:
    content = network().SerializeToString().replace(b"Gemm", b"G\xff\xfem")
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.onnx"):
        read(tmp_path / "m.onnx")


def test_a_loop_that_comes_to_no_end_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    ends = [("i", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), ("s", TensorProto.FLOAT, [None, 10])]
    given = [("on", TensorProto.BOOL, []), ("t", TensorProto.FLOAT, [None, 10])]
    nodes = [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["s", "s"], ["t"])]
    sources, targets = ([helper.make_tensor_value_info(*end) for end in side] for side in (ends, given))
    body = helper.make_graph(nodes, "b", sources, targets)
    model.graph.node[-1].output[0] = "last"
    model.graph.node.append(helper.make_node("Loop", ["trips", "", "last"], ["y"], body=body))
    model.graph.initializer.append(numpy_helper.from_array(np.array(2**60), "trips"))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())

    monkeypatch.setattr(intermediate_outputs, "PATIENCE", 1.0)
    with pytest.raises(ModelError, match="did not finish within 1 seconds"):
        integer_coverage.prove(tmp_path / "m.onnx")
