"""Parity of logits."""

import numpy as np
import pytest

from octavo.evaluation.parity import compare
from octavo.evaluation.scorecard import Parity

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


def test_outputs_of_the_same_integer_are_equal_where_scales_differ_in_the_last_place() -> None:
    other = LOGITS * np.float32(1 + 2**-23)
    other[0, 0] += STEP
    parity = compare(LOGITS, other, STEP, kernels=("XNNPACK", "onnxruntime"))
    assert (parity.equal, parity.values) == (11, 12)
    assert (parity.kernels, parity.reference_kernels) == ("XNNPACK", "onnxruntime")
    assert compare(LOGITS, other, None).equal == 5


def test_a_parity_of_an_older_scorecard_is_read() -> None:
    old = Parity.model_validate({"top1": 1, "n": 2, "identical": 0.5, "largest": 0.1, "step": None})
    assert (old.equal, old.values, old.kernels) == (None, None, None)
