"""`octavo init --model FILE` tries the file, and reads from it what the project needs to know."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from octavo.project.errors import OctavoError
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.params import load_params
from octavo.project.setting_up import needed_extras, trial
from tests.octavo.project.setting_up.conftest import Run, files, images


def network(
    path: Path, shape: list[str | int], dtype: int = TensorProto.FLOAT, inputs: int = 1, classes: int = 2
) -> None:
    """A network that averages each example, and gives that for each class; several inputs are added up."""
    names = [f"image{place or ''}" for place in range(inputs)]
    given = [helper.make_tensor_value_info(name, dtype, shape) for name in names]
    axes = helper.make_tensor("axes", TensorProto.INT64, [len(shape) - 1], list(range(1, len(shape))))
    tiles = helper.make_tensor("tiles", TensorProto.FLOAT, [1, classes], np.ones(classes).tolist())
    column = helper.make_tensor("column", TensorProto.INT64, [2], [-1, 1])
    nodes = [
        helper.make_node("Sum", names, ["sum"]),
        helper.make_node("ReduceMean", ["sum", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "column"], ["means"]),
        helper.make_node("MatMul", ["means", "tiles"], ["logits"]),
    ]
    out = [helper.make_tensor_value_info("logits", dtype, ["N", classes])]
    graph = helper.make_graph(nodes, "net", given, out, [axes, tiles, column])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)


def keras(
    path: Path, inputs: object, layer: str = "InputLayer", shape: tuple[int | None, ...] = (None, 8, 8, 1)
) -> None:
    """A `.keras` file as Keras 3 writes it, with a configuration that is only looked at."""
    first = {"class_name": layer, "module": "keras.layers", "config": {"batch_shape": list(shape)}}
    config = {"layers": [first], "input_layers": inputs, "output_layers": [["out", 0, 0]]}
    whole = {"class_name": "Functional", "module": "keras.src.models.functional", "config": config}
    content = io.BytesIO()
    with h5py.File(content, "w") as weights:
        weights["a"] = np.zeros(3)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(whole))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.10.0"}))
        archive.writestr("model.weights.h5", content.getvalue())


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (["N", 1, 28, 28], "channel_added_first"),
        ([1, 3, 224, 224], "channels_first"),
        (["N", 28, 28, 1], "channel_added_last"),
        (["N", 28, 28, 3], "stored"),
        (["N", 40], "stored"),
    ],
)
def test_the_input_says_the_encoding(with_dvc: Path, run: Run, shape: list[str | int], expected: str) -> None:
    (with_dvc / "models").mkdir()
    network(with_dvc / "models/my net.onnx", shape)
    done = run("init", "door", "--yes", "--model", "models/my net.onnx")
    assert done.exit_code == 0, done.output
    params = load_params(Path("door/params.yaml"))
    assert (params.data.encoding.layout, params.data.encoding.dtype) == (expected, "float32")
    assert params.brought["theirs"].file == Path("../models/my net.onnx")
    assert not params.networks
    assert {variant.source for variant in params.variants.values()} == {"theirs"}
    assert {name.partition("_")[0] for name in params.variants} == {"onnx", "litert"}
    assert not any("qat" in name for name in params.variants)
    needed = needed_extras.of(params)
    assert "litert" in needed
    assert "train" not in needed


@pytest.mark.parametrize(
    ("stored", "taken", "expected"),
    [
        ((8, 8), ["N", 1, 8, 8], "channel_added_first"),
        ((8, 8, 1), ["N", 1, 8, 8], "channels_first"),
        ((8, 8, 1), ["N", 8, 8, 1], "stored"),
        ((8, 8, 3), ["N", 3, 8, 8], "channels_first"),
        ((8, 3), ["N", 3, 8], "channels_first"),
    ],
)
def test_the_layout_fits_data_and_network(
    with_dvc: Path, run: Run, stored: tuple[int, ...], taken: list[str | int], expected: str
) -> None:
    network(with_dvc / "net.onnx", taken)
    values = np.arange(60)[:, None] * np.ones(int(np.prod(stored)))
    np.savez(with_dvc / "a.npz", images=values.reshape(60, *stored).astype("uint8"), labels=np.arange(60) % 2)
    done = run("init", "--yes", "--model", "net.onnx", "--data", "a.npz")
    assert done.exit_code == 0, done.exception
    assert load_params().data.encoding.layout == expected


def test_images_get_the_size_that_the_network_takes(with_dvc: Path, run: Run) -> None:
    network(with_dvc / "net.onnx", ["N", 1, 16, 12])
    images(with_dvc / "pictures", (8, 8), each=20)
    assert run("init", "--yes", "--model", "net.onnx", "--data", "pictures").exit_code == 0
    assert load_params().data.image_size == (16, 12)


def test_a_layout_that_the_stage_finds_by_itself_is_not_written(with_dvc: Path, run: Run) -> None:
    keras(with_dvc / "net.keras", ["in", 0, 0])
    images(with_dvc / "pictures", (8, 8), each=20)
    assert run("init", "--yes", "--model", "net.keras", "--data", "pictures").exit_code == 0
    assert load_params().data.encoding == InputEncoding()


def test_what_an_extra_would_read_is_not_tried_and_that_is_said(
    with_dvc: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'h5py'", name="h5py")

    monkeypatch.setattr(trial, "act", absent)
    (with_dvc / "net.keras").touch()
    done = run("init", "--yes", "--model", "net.keras")
    assert done.exit_code == 0, done.exception
    assert "not tried: net.keras. This needs h5py, which is not installed. Run: pip install" in done.stderr


def test_a_keras_file_has_all_formats(with_dvc: Path, run: Run) -> None:
    keras(with_dvc / "net.keras", ["in", 0, 0])
    done = run("init", "--yes", "--model", "net.keras")
    assert done.exit_code == 0, done.exception
    params = load_params()
    assert {name.partition("_")[0] for name in params.variants} == {"onnx", "litert"}
    assert not any("qat" in name for name in params.variants)
    assert {"train", "litert"} <= set(needed_extras.of(params))


def test_litert_files_alone_are_made_of_an_onnx_file(with_dvc: Path, run: Run) -> None:
    network(with_dvc / "net.onnx", ["N", 28, 28])
    done = run("init", "--yes", "--model", "net.onnx", "--format", "litert")
    assert done.exit_code == 0, done.exception
    params = load_params()
    assert params.baseline == "litert_fp32"
    assert {name.partition("_")[0] for name in params.variants} == {"litert"}
    assert params.variants["litert_int8_static"].options == {"search": {}}


def test_only_tensorflows_converter_needs_tensorflow(with_dvc: Path, run: Run) -> None:
    network(with_dvc / "net.onnx", ["N", 28, 28])
    assert run("init", "--yes", "--model", "net.onnx").exit_code == 0
    params = load_params()
    assert {"litert"} == set(needed_extras.of(params)) & {"litert", "train"}
    converted = params.variants["litert_fp32"].model_copy(update={"recipe": "litert_fp32_tensorflow"})
    both = params.model_copy(update={"variants": params.variants | {"litert_fp32_tensorflow": converted}})
    assert "train" in needed_extras.of(both)


def test_a_saved_model_is_known_by_the_file_in_its_folder(with_dvc: Path, run: Run) -> None:
    (with_dvc / "served").mkdir()
    assert run("init", "--yes", "--model", "served").exit_code == 1
    (with_dvc / "served/saved_model.pb").touch()
    assert run("init", "--yes", "--model", "served").exit_code == 0
    params = load_params()
    assert params.brought["theirs"].file == Path("served")
    assert {name.partition("_")[0] for name in params.variants} == {"onnx", "litert"}
    assert {"train", "litert"} <= set(needed_extras.of(params))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--model", "none.onnx"], "there is no such file here"),
        (["--model", "bad.onnx"], "bad.onnx"),
        (["--model", "net.pt"], "a file in .onnx"),
        (["--model", "two.onnx"], "two.onnx has 2 inputs (image, image1), and networks with one are accepted"),
        (["--model", "bytes.onnx"], "is uint8, and float32 is needed"),
        (
            ["--model", "ten.onnx", "--data", "pictures"],
            "gives outputs of shape (10,) for each example, and the data has 2",
        ),
        (
            ["--model", "wide.onnx", "--data", "a.npz"],
            "takes examples of shape (9, 9), and data.encoding.layout 'stored'",
        ),
        (["--model", "bad.keras"], "bad.keras is not a Keras file, or damaged"),
        (["--model", "two.keras"], "two.keras has 2 inputs (a, b), and networks with one are accepted"),
        (["--model", "lambda.keras"], "a Lambda layer"),
        (["--model", "wide.keras", "--data", "a.npz"], "takes examples of shape (9, 9, 1)"),
        (["--model", "weights.h5"], "brought: {NAME: {file: weights.h5, build: module:function}}"),
    ],
)
def test_a_wrong_file_writes_nothing(with_dvc: Path, run: Run, arguments: list[str], told: str) -> None:
    images(with_dvc / "pictures", (8, 8), each=20)
    values = np.arange(60)[:, None] * np.ones(64)
    np.savez(with_dvc / "a.npz", images=values.reshape(60, 8, 8).astype("uint8"), labels=np.arange(60) % 2)
    for name in ("bad.onnx", "bad.keras"):
        (with_dvc / name).write_bytes(b"\xff" * 50)
    network(with_dvc / "good.onnx", ["N", 28, 28])
    network(with_dvc / "two.onnx", ["N", 28, 28], inputs=2)
    network(with_dvc / "ten.onnx", ["N", 1, 8, 8], classes=10)
    network(with_dvc / "wide.onnx", ["N", 9, 9])
    network(with_dvc / "bytes.onnx", ["N", 28, 28], TensorProto.UINT8)
    keras(with_dvc / "two.keras", [["a", 0, 0], ["b", 0, 0]])
    keras(with_dvc / "lambda.keras", ["in", 0, 0], "Lambda")
    keras(with_dvc / "wide.keras", ["in", 0, 0], shape=(None, 9, 9, 1))
    with h5py.File(with_dvc / "weights.h5", "w") as file:
        file["a"] = np.zeros(3)
    before = files(with_dvc)
    failed: Any = run("init", "--yes", *arguments).exception
    assert isinstance(failed, OctavoError), failed
    assert told in str(failed)
    assert files(with_dvc) == before
