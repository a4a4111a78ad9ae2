"""ONNX files: the bytes that protobuf would write, two files past its limit, and no weights from elsewhere."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline import canonical, detached, onnx_file
from pipeline.errors import ModelError
from pipeline.runtimes import open_model

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
    monkeypatch.setattr(detached, "LARGE", 500)
    monkeypatch.setattr(onnx_file, "LIMIT", 3000)
    canonical.save(network(), tmp_path / "model.onnx")
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
    expected = canonical.canonical(network()).SerializeToString(deterministic=True)
    monkeypatch.setattr(detached, "LARGE", large)
    canonical.save(network(), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_what_is_saved_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detached, "LARGE", 1)
    model, copy = network(), network()
    canonical.save(model, tmp_path / "model.onnx")
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
    assert onnx_file.external_data(two_files) == [data]
    assert canonical.canonical(onnx_file.load(two_files)) == canonical.canonical(network())


def test_two_files_run_like_one(two_files: Path, tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "one.onnx")
    np.testing.assert_array_equal(open_model(two_files)(IMAGES), open_model(tmp_path / "one.onnx")(IMAGES))


def test_two_files_have_the_same_bytes_every_time(two_files: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / "model.onnx"
    canonical.save(onnx_file.load(two_files), again)
    for name in ("model.onnx", "model.onnx.data"):
        assert again.with_name(name).read_bytes() == two_files.with_name(name).read_bytes()


def test_a_model_that_fits_again_leaves_no_data_behind(two_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    canonical.save(network(), two_files)
    assert [path.name for path in two_files.parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("inside_node", [False, True])
@pytest.mark.parametrize("location", ["../secret", "sub/../../secret", "{root}/secret", "link"])
def test_weights_from_outside_the_folder_are_refused(location: str, inside_node: bool, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(40 * 30 * 4))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "link").symlink_to(tmp_path / "secret")
    path = pointing_to(location.format(root=tmp_path), tmp_path / "models" / "model.onnx", inside_node)
    for opened in (onnx_file.load, open_model):
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
    for opened in (onnx_file.load, open_model):
        with pytest.raises(ModelError, match="has not one place for its weights"):
            opened(path)


def test_weights_are_not_read_from_memory(tmp_path: Path) -> None:
    """Such places onnxruntime writes for itself, with an address for an offset."""
    path = pointing_to("*/_ORT_MEM_ADDR_/*", tmp_path / "model.onnx")
    for opened in (onnx_file.load, open_model):
        with pytest.raises(ModelError, match="which is no file"):
            opened(path)


def test_missing_data_and_files_that_are_not_onnx_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"location, but no protobuf")
    for path in (pointing_to("nowhere", tmp_path / "model.onnx"), broken, tmp_path / "none.onnx"):
        with pytest.raises(ModelError, match=str(path)):
            onnx_file.load(path)


MEMORY = """
import sys
from pathlib import Path
from pipeline import canonical
from tests.pipeline.test_onnx_file import network, resident
model = network(width=500_000)
Path("/proc/self/clear_refs").write_text("5")
before, target = resident("VmRSS"), Path(sys.argv[1], "model.onnx")
canonical.save(model, target)
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
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True)
    assert 0.7 < float(done.stdout) < 1.2
