"""`octavo init --model FILE` reads from the file what the project needs to know of it."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from octavo.project.errors import OctavoError
from octavo.project.params.params import load_params
from octavo.project.setting_up import needed_extras
from tests.octavo.project.setting_up.conftest import Run, files


def network(path: Path, shape: list[str | int], dtype: int = TensorProto.FLOAT) -> None:
    """A network that only passes its input on; `init` does not run it."""
    ends = [helper.make_tensor_value_info(name, dtype, shape) for name in ("image", "logits")]
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["logits"])], "net", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph), path)


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        (["N", 1, 28, 28], TensorProto.FLOAT, ("channel_added_first", "float32")),
        ([1, 3, 224, 224], TensorProto.FLOAT, ("channels_first", "float32")),
        (["N", 28, 28, 1], TensorProto.FLOAT, ("channel_added_last", "float32")),
        (["N", 28, 28, 3], TensorProto.FLOAT, ("stored", "float32")),
        (["N", "H", "W", 3], TensorProto.UINT8, ("stored", "uint8")),
        (["N", 40], TensorProto.FLOAT, ("stored", "float32")),
    ],
)
def test_the_input_says_the_encoding(
    with_dvc: Path, run: Run, shape: list[str | int], dtype: int, expected: tuple[str, str]
) -> None:
    (with_dvc / "models").mkdir()
    network(with_dvc / "models/my net.onnx", shape, dtype)
    done = run("init", "door", "--yes", "--model", "models/my net.onnx")
    assert done.exit_code == 0, done.output
    params = load_params(Path("door/params.yaml"))
    assert (params.data.encoding.layout, params.data.encoding.dtype) == expected
    assert params.brought["theirs"].file == Path("../models/my net.onnx")
    assert not params.networks
    assert {variant.source for variant in params.variants.values()} == {"theirs"}
    assert {name.partition("_")[0] for name in params.variants} == {"onnx"}
    assert "left out: litert" in done.stderr
    assert "train" not in needed_extras.of(params)


def test_a_keras_file_has_all_formats(with_dvc: Path, run: Run) -> None:
    (with_dvc / "net.keras").touch()
    assert run("init", "--yes", "--model", "net.keras").exit_code == 0
    params = load_params()
    assert {name.partition("_")[0] for name in params.variants} == {"onnx", "litert"}
    assert not any("qat" in name for name in params.variants)
    assert {"train", "litert"} <= set(needed_extras.of(params))


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
        (["--model", "bad.onnx"], "cannot be read as ONNX"),
        (["--model", "net.pt"], "a file in .onnx"),
        (["--model", "good.onnx", "--format", "litert"], "has no litert files. Allowed: onnx"),
    ],
)
def test_a_wrong_file_writes_nothing(with_dvc: Path, run: Run, arguments: list[str], told: str) -> None:
    (with_dvc / "bad.onnx").write_bytes(b"\xff" * 50)
    network(with_dvc / "good.onnx", ["N", 28, 28])
    before = files(with_dvc)
    failed = run("init", "--yes", *arguments).exception
    assert isinstance(failed, OctavoError)
    assert told in str(failed)
    assert files(with_dvc) == before
