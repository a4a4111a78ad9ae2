"""Parity of logits, and who is to answer like whom."""

import numpy as np
import pytest

from octavo.evaluation.parity import compare, counterparts
from octavo.project.params import Variant

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
    static, learned = Variant(source="fp32", recipe="onnx_int8_static"), Variant(source="qat", recipe="onnx_int8_qat")
    variants = {
        "onnx_int8_static": static,
        "litert_int8_static": static,
        "onnx_int8_qat": learned,
        "litert_int8_qat": learned,
        "litert_fp32_qat": learned,
    }
    assert counterparts("onnx_int8_qat", variants) == ["litert_int8_qat"]
    assert counterparts("litert_int8_qat", variants) == ["onnx_int8_qat"]
    assert counterparts("onnx_int8_static", variants) == []
