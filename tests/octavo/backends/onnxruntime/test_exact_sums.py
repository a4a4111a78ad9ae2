"""Sums are made exact where this CPU cuts them off, in files whose weights are large enough, and nowhere else."""

import platform
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from octavo.backends.onnxruntime import exact_sums, integer_weights
from octavo.backends.onnxruntime.intermediate_outputs import open_probe
from octavo.backends.onnxruntime.session import open_session
from octavo.onnx_graph import session_options
from octavo.project.errors import ModelError
from tests import integer_reference as reference
from tests.octavo.integer_layers import IMAGES, SHARINGS, two_layers


@pytest.fixture(params=[True, False])
def cut_off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """What is found of this CPU."""
    monkeypatch.setattr(exact_sums, "cut_off_here", lambda: request.param)
    return bool(request.param)


def is_exact(session: onnxruntime.InferenceSession) -> bool:
    return exact_sums._is_set(session.get_session_options(), exact_sums.OPTION)


def answers(session: onnxruntime.InferenceSession) -> np.ndarray:
    return np.asarray(session.run(["y"], {"x": IMAGES})[0])


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("shared", SHARINGS)
def test_a_file_is_opened_exactly_where_sums_are_cut_off(
    shared: str, beside: bool, cut_off: bool, tmp_path: Path
) -> None:
    """Whatever its layers share, and wherever its weights lie."""
    path = tmp_path / "model.onnx"
    onnx.save(two_layers(SHARINGS[shared]), path, save_as_external_data=beside, location="weights", size_threshold=0)
    model = onnx.load(path)
    session, probe = open_session(path), open_probe(model)
    assert is_exact(session) is cut_off
    assert is_exact(probe) is cut_off
    if cut_off:
        np.testing.assert_array_equal(answers(session), reference.logits(model, IMAGES, reference.ONNXRUNTIME))
        np.testing.assert_array_equal(answers(probe), reference.logits(model, IMAGES, reference.ONNXRUNTIME))


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="onnxruntime knows the option on x86 only")
@pytest.mark.parametrize("shared", [name for name in SHARINGS if name != "nothing"])
def test_onnxruntime_alone_does_not_open_shared_weights_exactly(shared: str) -> None:
    """If this fails, onnxruntime has learned it, and `integer_weights.separate` can go."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(exact_sums.OPTION, "1")
    with pytest.raises(failures.Fail):
        onnxruntime.InferenceSession(two_layers(SHARINGS[shared]).SerializeToString(), options)


def test_a_file_that_still_asks_is_treated_alike(cut_off: bool, tmp_path: Path) -> None:
    model = two_layers(SHARINGS["weights"])
    session_options.ask(model, exact_sums.OPTION)
    onnx.save(model, tmp_path / "model.onnx")
    assert is_exact(open_session(tmp_path / "model.onnx")) is cut_off
    assert is_exact(open_probe(model)) is cut_off


@pytest.mark.parametrize(("largest", "option"), [(64, None), (127, session_options.RUN_IN_FLOAT)])
def test_small_weights_and_those_that_compute_in_float_need_no_exact_sums(
    largest: int, option: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact_sums, "cut_off_here", lambda: True)
    model = two_layers({}, largest)
    if option:
        session_options.ask(model, option)
    onnx.save(model, tmp_path / "model.onnx")
    assert not is_exact(open_session(tmp_path / "model.onnx"))
    assert not is_exact(open_probe(model))


def test_this_cpu_is_known_by_what_its_kernels_add() -> None:
    """It cuts off exactly if onnxruntime, left to itself, gives other answers than the integers."""
    model = two_layers({})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert exact_sums.cut_off_here() is not np.array_equal(
        answers(session), reference.logits(model, IMAGES, reference.ONNXRUNTIME)
    )


def test_a_cpu_that_cannot_be_tried_counts_as_one_that_cuts_off(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = helper.make_model(helper.make_graph([helper.make_node("Nothing", [], ["y"])], "g", [], []))
    monkeypatch.setattr(exact_sums, "_trial", lambda: broken)
    exact_sums.cut_off_here.cache_clear()
    assert exact_sums.cut_off_here()
    exact_sums.cut_off_here.cache_clear()


def test_what_onnxruntime_cannot_make_exact_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than run with answers that may be wrong."""
    onnx.save(two_layers(SHARINGS["weights"]), tmp_path / "model.onnx")
    monkeypatch.setattr(exact_sums, "cut_off_here", lambda: True)
    monkeypatch.setattr(integer_weights, "separate", lambda _: None)
    with pytest.raises(ModelError, match=r"loads .*model\.onnx, but not with session\.x64quantprecision"):
        open_session(tmp_path / "model.onnx")
