"""Whatever the bytes are: a loader reads them, or says in one sentence why not."""

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper

from octavo.data import prepare
from octavo.data.sources import csv_table, npz
from octavo.onnx_graph.foreign import reading
from octavo.project.errors import OctavoError
from octavo.project.params.params import load_params
from octavo.training.keras_files import configuration, trial
from tests.contracts.bad_input import in_data, in_models, in_params
from tests.octavo.onnx_graph.foreign.made import classifier

LONGEST = 1000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
WORDS = (
    "class_name",
    "module",
    "config",
    "layers",
    "name",
    "registered_name",
    "function",
    "input_layers",
    "build_config",
)
"""Keys that a configuration of Keras has."""
CONFIGURATIONS = st.recursive(
    st.none() | st.integers() | st.sampled_from(["Dense", "Lambda", "keras.layers", "os", "linear", "function"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=20,
)
ARRAYS = arrays.arrays(
    st.sampled_from(["u1", "i1", "i8", "f2", "f4", "f8", ">f4", "?", "c8", "U2", "M8[s]"]),
    arrays.array_shapes(min_dims=0, max_dims=6, min_side=0, max_side=3),
)


def met(read: Callable[[Path], object], content: bytes, suffix: str) -> None:
    """A reader reads a file, or refuses it in one short line that names it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"given{suffix}")
        path.write_bytes(content)
        said = refused(read, path)
    if said is not None:
        assert said.strip()
        assert "\n" not in said
        assert len(said) < LONGEST
        assert "Traceback" not in said


def refused(read: Callable[[Path], object], path: Path) -> str | None:
    """What a reader says of a file; None if it reads it."""
    try:
        read(path)
    except OctavoError as error:
        return str(error).replace(str(path.parent), "")
    return None


def read_npz(path: Path) -> None:
    prepare.check(npz.read(path))


def good(write: Callable[[Path], object], suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"good{suffix}")
        write(path)
        return path.read_bytes()


LOADERS: dict[str, tuple[Callable[[Path], object], bytes]] = {
    ".npz": (read_npz, good(in_data.arrays(), ".npz")),
    ".csv": (csv_table.read, b"path,label,split\na.png,cat,train\nb.png,dog,test\n"),
    ".onnx": (reading.read, classifier().SerializeToString()),
    ".keras": (trial.keras, good(in_models.archive(), ".keras")),
    ".h5": (trial.keras, good(in_models.hdf5(in_models.configured("{}")), ".h5")),
    ".yaml": (load_params, yaml.safe_dump(in_params.PARAMS).encode()),
}


@pytest.mark.parametrize("suffix", LOADERS)
@given(st.binary(max_size=300))
def test_any_bytes(suffix: str, content: bytes) -> None:
    met(LOADERS[suffix][0], content, suffix)


@pytest.mark.parametrize("suffix", LOADERS)
@settings(derandomize=True)  # on a few flipped HDF5 files h5py reads an attribute for ever, and no signal ends that
@given(st.data())
def test_any_bits_flipped_and_bytes_cut_or_repeated(suffix: str, data: st.DataObject) -> None:
    read, whole = LOADERS[suffix]
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    start, end = sorted((data.draw(st.integers(0, len(content))), data.draw(st.integers(0, len(content)))))
    kind = data.draw(st.sampled_from(["flipped", "cut", "repeated", "taken out"]))
    changed = {
        "flipped": content,
        "cut": content[:end],
        "repeated": content[:end] + content[start:],
        "taken out": content[:start] + content[end:],
    }[kind]
    met(read, bytes(changed), suffix)


@given(st.dictionaries(st.sampled_from(["images", "labels", "x_train", "y_train", "x_test", "y_test", "x"]), ARRAYS))
def test_any_arrays(found: dict[str, Any]) -> None:
    content = io.BytesIO()
    np.savez(content, **found)
    met(read_npz, content.getvalue(), ".npz")


@given(st.lists(st.lists(st.text(max_size=12), max_size=4), max_size=6), st.sampled_from([",", ";", "\t"]))
@example(rows=[["0\n0"]], delimiter=",")
def test_any_table(rows: list[list[str]], delimiter: str) -> None:
    content = io.StringIO()
    csv.writer(content, delimiter=delimiter).writerows([["path", "label"], *rows])
    met(csv_table.read, content.getvalue().encode("utf-8", "surrogatepass"), ".csv")


@given(st.one_of(CONFIGURATIONS, JSON))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_configuration_of_keras(config: Any) -> None:
    text = json.dumps({"class_name": "Functional", "config": config})
    met(lambda path: configuration.parsed(path.read_bytes(), path), text.encode(), ".json")
    met(trial.keras, good(in_models.archive(config__json=text), ".keras"), ".keras")


@given(
    st.dictionaries(
        st.sampled_from(["config.json", "metadata.json", "model.weights.h5", "../x", "run.py"]), st.binary(max_size=50)
    )
)
def test_any_parts_of_a_keras_archive(parts: dict[str, bytes]) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    met(trial.keras, content.getvalue(), ".keras")


SMALL = in_params.PARAMS | {
    "finetuned": {"qat": in_params.PARAMS["finetuned"]["qat"]},
    "variants": {"onnx_fp32": in_params.PARAMS["variants"]["onnx_fp32"]},
}
VALUES = st.sampled_from(["input", "a", "b", "w", "output", ""])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Relu", "Conv", "MatMul", "Reshape", "Softmax", "Concat", "If", "Gelu", "Nonsense", ""]),
            st.lists(VALUES, max_size=3),
            st.lists(VALUES, max_size=2),
        ),
        max_size=4,
    ),
    st.lists(st.sampled_from([0, 1, 3, 8, -1, "N"]), max_size=5),
    st.sampled_from([1, 2, 7, 10, 16]),
    st.integers(9, 25),
)
def test_any_graph(
    nodes: list[tuple[str, list[str], list[str]]], shape: list[int | str], dtype: int, opset: int
) -> None:
    made = [helper.make_node(kind, inputs, outputs) for kind, inputs, outputs in nodes]
    ends = [helper.make_tensor_value_info(name, dtype, shape) for name in ("input", "output")]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0] * 4)
    graph = helper.make_graph(made, "g", ends[:1], ends[1:], [weights])
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    met(reading.read, model.SerializeToString(), ".onnx")


@given(st.data())
def test_any_value_of_any_param(data: st.DataObject) -> None:
    """A value of params.yaml is replaced by any other, or goes, or gets a neighbour."""
    params = json.loads(json.dumps(SMALL))
    place = params
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.integers(0, 4)) == 0:
            break
        place = place[key]
    match data.draw(st.sampled_from(["other", "gone", "neighbour"])):
        case "other":
            place[key] = data.draw(JSON)
        case "gone":
            del place[key]
        case _:
            place[data.draw(st.text(max_size=20))] = data.draw(JSON)
    met(load_params, yaml.safe_dump(params, allow_unicode=True).encode("utf-8", "surrogatepass"), ".yaml")
