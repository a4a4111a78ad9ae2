"""Parity of logits, and who is to answer like whom."""

from pathlib import Path

import numpy as np
import pytest

from octavo.evaluation.parity import compare, counterparts
from octavo.project.files import yaml_file
from octavo.project.params.params import Params

STEP = 0.25
LOGITS = np.array([[0, 1, 2], [3, 1, 0], [0, 0, 1], [0, 1, 0]], np.float32) * np.float32(STEP)


def test_a_model_is_like_itself() -> None:
    parity = compare(LOGITS, LOGITS, STEP)
    assert (parity.top1, parity.n, parity.identical, parity.largest, parity.step) == (4, 4, 1, 0, STEP)


@pytest.mark.parametrize(("step", "largest"), [(STEP, 3), (None, 3 * STEP)])
def test_differences_are_counted_and_measured_in_steps_where_there_are_steps(
    step: float | None, largest: float
) -> None:
    other = LOGITS.copy()
    other[1] = [0, STEP, 0]
    other[2, 0] = STEP / 2
    parity = compare(LOGITS, other, step)
    assert (parity.top1, parity.identical, parity.largest) == (3, 0.5, largest)


def test_the_counterpart_has_the_same_learned_ranges_in_another_format() -> None:
    found = yaml_file.read(Path(__file__).parents[3] / "params.yaml")
    learned = {"source": "qat", "recipe": "onnx_int8_qat"}
    found["variants"] |= {"litert_fp32_qat": learned, "onnx_int8_other": learned | {"source": "other"}}
    found["variants"] |= {"litert_int8_other": learned, "litert_fp32_tensorflow": learned}
    found["variants"] |= {"litert_int8_qat_tensorflow": learned | {"recipe": "litert_int8_qat_tensorflow"}}
    found["finetuned"]["other"] = found["finetuned"]["qat"]
    params = Params.model_validate(found)
    assert counterparts("onnx_int8_qat", params) == ["litert_int8_qat", "litert_int8_qat_tensorflow"]
    assert counterparts("litert_int8_qat", params) == ["onnx_int8_qat", "litert_int8_qat_tensorflow"]
    assert counterparts("litert_int8_qat_tensorflow", params) == ["onnx_int8_qat", "litert_int8_qat"]
    assert counterparts("litert_fp32_tensorflow", params) == []
    assert counterparts("onnx_int8_static", params) == []
    assert counterparts("onnx_int8_other", params) == []
