"""One LiteRT file by several sets of kernels: their names, their outputs, and why a set gives none."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octavo.backends.litert.kernels import default, others
from octavo.backends.registry import open_model
from tests.litert_files import OUT_SCALE, W_SCALE, WEIGHTS, Code, File, dense

MICRO = "TFLite Micro"
needs_micro = pytest.mark.skipif(
    find_spec("tflite_micro") is None, reason="TFLite Micro is not installed (the package tflite-micro)"
)
IMAGES = np.random.default_rng(0).integers(0, 100, (5, 4, 4)).astype(np.int8)


def single(code: int, options: str = "", **values: Any) -> File:
    """A file of one operator on four int8 values."""
    file = File()
    for name in ("x", "y"):
        file.main.value(name, [-1, 4], np.int8, scale=1 / 256, zero=-128)
    file.main.operator(code, ["x"], ["y"], options, **values)
    file.main.ends(["x"], ["y"])
    return file


def hybrid() -> File:
    """A dense layer of float values with int8 weights."""
    file = File()
    file.main.value("x", [-1, 4, 4])
    file.main.constant("w", WEIGHTS, scale=W_SCALE)
    file.main.value("y", [-1, 3])
    file.main.operator(Code.FULLY_CONNECTED, ["x", "w", ""], ["y"], "FullyConnectedOptions", version=4)
    file.main.ends(["x"], ["y"])
    return file


def two_parts() -> File:
    """XNNPACK computes the dense layers, but not the RELU of other ranges between them."""
    file = dense(np.int8, np.int8)
    file.main.value("bent", [-1, 3], np.int8, scale=1 / 256, zero=-128)
    file.main.operator(Code.RELU, ["inside"], ["bent"])
    file.main.constant("v", WEIGHTS[:, :3], scale=W_SCALE)
    file.main.value("last", [-1, 3], np.int8, scale=OUT_SCALE)
    file.main.operator(Code.FULLY_CONNECTED, ["bent", "v", ""], ["last"], "FullyConnectedOptions", version=4)
    file.main.ends(["image"], ["last"])
    return file


@pytest.mark.parametrize(
    ("file", "images", "name"),
    [
        (dense(), IMAGES, "XNNPACK"),
        (two_parts(), IMAGES, "XNNPACK in 2 parts"),
        (single(Code.RELU), IMAGES[:, 0], "LiteRT's built-in kernels"),
    ],
)
def test_the_default_kernels_are_named_as_they_are(file: File, images: np.ndarray, name: str, tmp_path: Path) -> None:
    assert default.name(file.write(tmp_path / "model.tflite"), images) == name


@pytest.mark.parametrize("ends", [(np.int8, np.int8), (np.float32, np.float32), (np.uint8, np.float32)])
def test_other_kernels_give_real_outputs_of_the_same_images(ends: tuple[Any, Any], tmp_path: Path) -> None:
    path = dense(*ends).write(tmp_path / "model.tflite")
    images = IMAGES.astype(ends[0])
    found = others.outputs(path, images)
    assert set(found) == {"reference kernels"} | ({MICRO} if find_spec("tflite_micro") else set())
    usual = open_model(path).run(images)
    for name, logits in found.items():
        assert not isinstance(logits, str), name
        assert logits.shape == (5, 3)
        assert logits.dtype == np.float32
        assert np.abs(logits - usual).max() <= 1.001 * OUT_SCALE


def test_a_crash_of_other_kernels_is_their_reason(tmp_path: Path) -> None:
    """The default kernels run a softmax without its factor. The reference kernels abort."""
    path = single(Code.SOFTMAX, "SoftmaxOptions").write(tmp_path / "model.tflite")
    assert open_model(path).run(IMAGES[:, 0]).shape == (5, 4)
    for reason in others.outputs(path, IMAGES[:, 0]).values():
        assert reason == "it crashes (SIGABRT)"


def test_an_operator_that_other_kernels_lack_is_named(tmp_path: Path) -> None:
    path = single(Code.ELU).write(tmp_path / "model.tflite")
    assert "'ELU'" in others.outputs(path, IMAGES[:, 0])["reference kernels"]


@needs_micro
def test_a_file_that_tflite_micro_refuses_has_its_reason(tmp_path: Path) -> None:
    found = others.outputs(hybrid().write(tmp_path / "model.tflite"), IMAGES.astype(np.float32))
    assert not isinstance(found["reference kernels"], str)
    assert found[MICRO] == (
        "Input type: FLOAT32 with filter type: INT8 not supported; Node FULLY_CONNECTED (number 0) failed to prepare "
        "with status 1; TFLM failed to allocate tensors"
    )
