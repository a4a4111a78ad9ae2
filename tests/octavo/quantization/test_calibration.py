"""Activation ranges: the same as from all values at once, in the memory of one batch."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import helper
from onnx.reference import ReferenceEvaluator

from octavo.data.input_encoding import encode
from octavo.onnx_graph import integer_ranges
from octavo.onnx_graph.integer_ranges import Range
from octavo.quantization import calibration
from octavo.quantization.calibration import BATCH, BINS, METHODS, Observation
from tests.octavo import onnx_graphs as graphs

numbers = st.floats(-1e6, 1e6, width=32)
samples_of_values = arrays(np.float32, st.integers(1, 300), elements=numbers)


def plainly(model: onnx.ModelProto, tensors: list[str], images: np.ndarray) -> dict[str, Observation]:
    """What `calibration.observe` finds, from the activations of all images at once."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in "xy")
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    values = {name: images if name == "x" else session.run([name], {"x": images})[0] for name in tensors}
    return {name: observed(value) for name, value in values.items()}


def observed(values: np.ndarray) -> Observation:
    rows = values.reshape(len(values), -1)
    low, high = float(rows.min()), float(rows.max())
    limits = (low, high) if high > low else (low - 0.5, low + 0.5)
    counts = np.histogram(rows.astype(np.float64), BINS, limits)[0]
    return Observation(low, high, float(rows.min(1).mean()), float(rows.max(1).mean()), counts)


def ranges(seen: Observation) -> dict[str, Range]:
    return {name: method(seen) for name, method in METHODS.items()}


@pytest.mark.parametrize("stored", [np.uint8, np.float32])
@pytest.mark.parametrize("n", [1, BATCH, 3 * BATCH + 5])
def test_ranges_are_those_of_all_values_at_once(stored: type[np.generic], n: int) -> None:
    images = (40 * graphs.images(n) + 120).clip(0, 255).astype(stored)
    model = graphs.stack(2)
    tensors = ["x", "r0", "c1", "r1", "row", "y"]
    found, plain = calibration.observe(model, tensors, images), plainly(model, tensors, encode(images))
    for name in tensors:
        assert found[name].counts.dtype == np.int64
        assert found[name].counts.sum() == plain[name].counts.sum()
        np.testing.assert_array_equal(found[name].counts, plain[name].counts)
        assert (found[name].mean_low, found[name].mean_high) == (plain[name].mean_low, plain[name].mean_high)
        assert ranges(found[name]) == ranges(plain[name])


def test_the_input_alone_needs_no_activations() -> None:
    """As in a network of one dense layer."""
    seen = calibration.observe(graphs.stack(1), ["x"], graphs.images())["x"]
    np.testing.assert_array_equal(seen.counts, observed(graphs.images()).counts)


PEAK = """
import resource, sys
import numpy as np, onnx
from octavo.quantization import calibration
calibration.observe(onnx.load(sys.argv[1]), ["r", "s"], np.load(sys.argv[2], mmap_mode="r"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_ten_times_the_images_take_no_more_memory(tmp_path: Path) -> None:
    """One batch's activations are 67 MB; those of all 640 images would be 1.3 GB."""
    image = (1, 64, 64)
    nodes = [graphs.conv("x", "c"), graphs.relu("c", "r"), graphs.conv("r", "d"), graphs.relu("d", "s")]
    nodes += graphs.head("s")
    constants = graphs.parameters({"c": (64, 1, 3, 3), "d": (64, 64, 3, 3)}, 64)
    onnx.save(graphs.network(nodes, constants, image), tmp_path / "model.onnx")
    peaks = {}
    for n in (64, 640):
        np.save(tmp_path / "images.npy", np.random.default_rng(n).integers(0, 256, (n, *image), np.uint8))
        command = [sys.executable, "-c", PEAK, str(tmp_path / "model.onnx"), str(tmp_path / "images.npy")]
        peaks[n] = int(subprocess.run(command, cwd=Path.cwd(), check=True, capture_output=True, text=True).stdout)
    assert peaks[640] <= 1.1 * peaks[64]


def test_all_of_the_range_or_the_mean_of_the_images_own() -> None:
    seen = observed(np.array([[-1, 3], [-2, 1], [0, 8]], np.float32))
    assert calibration.min_max(seen) == (-2, 8)
    assert calibration.average(seen) == (-1, 4)


@given(samples_of_values, st.sampled_from([50.0, 90.0, 99.9]))
def test_a_percentile_keeps_its_share(values: np.ndarray, share: float) -> None:
    low, high = calibration.percentile(observed(values), share)
    slack = (values.max() - values.min()) * 1e-6
    assert np.mean((values >= low - slack) & (values <= high + slack)) >= share / 100 - 1e-9
    assert values.min() - 0.51 <= low <= high <= values.max() + 0.51


def test_a_percentile_cuts_the_same_off_both_ends() -> None:
    seen = observed(np.linspace(-1, 3, 400_001))
    assert calibration.percentile(seen, 90) == pytest.approx((-0.8, 2.8), abs=2 * 4 / BINS)


@pytest.mark.parametrize("name", METHODS)
def test_ends_at_zero_stay_there(name: str) -> None:
    values = 0.5 + np.abs(np.random.default_rng(0).normal(size=(2, 10_000))).astype(np.float32)
    values[:, 0] = 0
    assert METHODS[name](observed(values))[0] == 0
    assert METHODS[name](observed(-values))[1] == 0


@pytest.mark.parametrize("name", ["percentile_99.9", "percentile_99.99", "least_error", "least_divergence"])
def test_a_single_far_outlier_is_clipped(name: str) -> None:
    """One value at 12 among ten million that are 5 at most."""
    values = np.abs(np.random.default_rng(0).normal(size=100_000)).astype(np.float32)
    values[0] = 12
    seen = observed(values)
    many = replace(seen, counts=np.append(seen.counts[:-1] * 100, 1))
    low, high = METHODS[name](many)
    assert abs(low) < 1e-4
    assert 3 < high < 5


@pytest.mark.parametrize("name", ["least_error", "least_divergence"])
def test_an_outlier_at_one_end_does_not_clip_the_other(name: str) -> None:
    values = np.random.default_rng(0).normal(size=100_000).clip(-3).astype(np.float32)
    values[0] = 12
    seen = observed(values)
    low, high = METHODS[name](replace(seen, counts=np.append(seen.counts[:-1] * 100, 1)))
    assert low < -2.5
    assert 3 < high < 5


def test_min_max_keeps_a_single_far_outlier() -> None:
    values = np.append(np.random.default_rng(0).normal(size=1000), 100).astype(np.float32)
    assert calibration.min_max(observed(values)) == (values.min(), 100)


def test_least_error_leaves_a_uniform_distribution_whole() -> None:
    assert calibration.least_error(observed(np.linspace(-1, 1, 100_000))) == (-1, 1)


def test_least_error_is_the_least_of_all_widths() -> None:
    """Against the error over the values themselves, not over their histogram."""
    values = np.random.default_rng(0).laplace(size=200_000).astype(np.float32)

    def error(low: float, high: float) -> float:
        scale, zero = integer_ranges.uint8_parameters(low, high)
        integers = np.clip(np.rint(values / scale) + zero, 0, 255)
        return float(np.mean((values - (integers - zero) * scale) ** 2))

    widths = np.linspace(0.05, 1, 60)
    least = min(error(width * values.min(), width * values.max()) for width in widths)
    assert error(*calibration.least_error(observed(values))) <= 1.02 * least
    assert 1.2 * least < error(float(values.min()), float(values.max()))


def test_least_divergence_keeps_what_lies_on_the_integer_grid() -> None:
    values = np.repeat(np.arange(256), 10) / 255
    assert calibration.least_divergence(observed(values)) == pytest.approx((0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
@given(samples_of_values)
def test_every_method_gives_a_range_within_what_was_seen(name: str, values: np.ndarray) -> None:
    """Whatever was seen: nothing but zeros behind a dead ReLU, one value, values far from zero."""
    low, high = METHODS[name](observed(values))
    assert min(float(values.min()), 0) - 0.51 <= low <= high <= max(float(values.max()), 0) + 0.51


@given(numbers, numbers, st.floats(0, 1))
def test_what_is_in_range_rounds_by_half_a_step_at_most(one: float, other: float, share: float) -> None:
    low, high = sorted((one, other))
    scale, zero = integer_ranges.uint8_parameters(low, high)
    assert scale > 0
    value = low + share * (high - low)
    integer = np.clip(np.rint(value / np.float64(scale)) + zero, 0, 255)
    assert abs((integer - float(zero)) * np.float64(scale) - value) <= 0.5001 * scale


@given(numbers, numbers)
def test_zero_is_exact(one: float, other: float) -> None:
    scale, zero = integer_ranges.uint8_parameters(*sorted((one, other)))
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    feed = {"x": np.zeros(1, np.float32), "s": np.asarray(scale), "z": np.asarray(zero)}
    rounded = np.asarray(next(iter(ReferenceEvaluator(node).run(None, feed))))
    assert rounded.dtype == np.uint8
    assert scale.dtype == np.float32
    np.testing.assert_array_equal((rounded.astype(np.int32) - np.int32(zero)) * scale, 0)


def test_a_range_of_nothing_has_a_scale() -> None:
    for high in (0, 1e-45, 1e-38, 2.5e-36):
        scale, zero = integer_ranges.uint8_parameters(0, high)
        assert (float(scale), int(zero)) == (1, 0)
