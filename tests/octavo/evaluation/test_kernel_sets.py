"""One file by other kernels: on how many images, what is counted, and what is said of a set that gives nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octavo.backends import registry
from octavo.backends.registry import open_model
from octavo.evaluation import integer_coverage, kernel_sets, parity
from octavo.evaluation.scorecard import Evaluation, Parity
from tests.litert_files import OUT_SCALE, Code, File, dense

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 4, 4), np.uint8)
COST = 48 + 16 * kernel_sets.READING
"""Of one image in `dense`."""


def compared(file: File, folder: Path, images: np.ndarray = IMAGES) -> tuple[dict[str, Parity], Sequence[str]]:
    path = file.write(folder / "model.tflite")
    predict = open_model(path)
    logits, fed = predict(images), predict.feed(images)
    step, usual = integer_coverage.output_step(path), kernel_sets.default(path, fed)
    known: dict[str, Any] = {
        "proof": integer_coverage.prove(path, fed),
        "parity": {"network": parity.compare(logits, logits, step, kernels=(usual, "onnxruntime"))},
    }
    return kernel_sets.others(Evaluation.model_construct(**known), path, predict, images, logits)


def test_the_same_integers_are_compared_by_the_name_of_each_set(tmp_path: Path) -> None:
    found, notes = compared(dense(np.float32, np.float32), tmp_path)
    assert notes == []
    beside = found["reference kernels"]
    assert (beside.kernels, beside.reference_kernels) == ("XNNPACK", "reference kernels")
    assert (beside.n, beside.values) == (30, 90)
    assert beside.step == pytest.approx(OUT_SCALE)
    assert beside.equal is not None
    assert beside.equal >= 80


@pytest.mark.parametrize(("affordable", "images"), [(1, 4), (20, 20), (1000, 30)])
def test_slow_kernels_get_the_first_images_that_the_cost_allows(
    affordable: int, images: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_sets, "LEAST", 4)
    monkeypatch.setattr(kernel_sets, "COST", affordable * COST)
    found, _ = compared(dense(np.float32, np.float32), tmp_path)
    assert {each.n for each in found.values()} == {images}


def test_a_set_that_gives_nothing_is_told(tmp_path: Path) -> None:
    file = File()
    for name in ("x", "y"):
        file.main.value(name, [-1, 4], np.int8, scale=1 / 256, zero=-128)
    file.main.operator(Code.SOFTMAX, ["x"], ["y"], "SoftmaxOptions")
    file.main.ends(["x"], ["y"])
    found, notes = compared(file, tmp_path, IMAGES[:, 0])
    assert found == {}
    assert notes[0] == "There are no figures of reference kernels: it crashes (SIGABRT)."


def test_float_files_and_runtimes_of_one_set_are_not_compared(tmp_path: Path) -> None:
    file = File()
    file.main.value("x", [-1, 4])
    file.main.value("y", [-1, 4])
    file.main.operator(Code.RELU, ["x"], ["y"])
    file.main.ends(["x"], ["y"])
    assert compared(file, tmp_path, IMAGES[:, 0]) == ({}, [])
    assert registry.backend_of(Path("model.onnx")).other_kernels is None
