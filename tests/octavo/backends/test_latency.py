"""The latency method, on predictors whose cost is known."""

import time

import numpy as np
import pytest

from octavo.backends import latency
from octavo.backends.predictor import Predictor

IMAGES = np.zeros((4, 2, 2), np.float32)


def sleeper(seconds: float) -> Predictor:
    def predict(images: np.ndarray) -> np.ndarray:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
        return images

    return Predictor(predict)


def test_a_predictor_of_twice_the_work_takes_twice_the_time() -> None:
    measured = latency.measure({"one": sleeper(2e-4), "two": sleeper(4e-4)}, "one", IMAGES, 1, rounds=15)
    assert measured["two"].ratio == pytest.approx(2, rel=0.15)
    assert measured["one"].ratio == pytest.approx(1, rel=0.15)
    low, high = measured["two"].ratio_ci95
    assert low <= measured["two"].ratio <= high
    assert measured["one"].p50_us <= measured["one"].p90_us <= (measured["one"].p99_us or np.inf)


def test_p99_is_withheld_from_few_calls() -> None:
    measured = latency.measure({"slow": sleeper(6e-3), "quick": sleeper(2e-5)}, "slow", IMAGES, 1, rounds=12)
    assert measured["slow"].n < latency.P99_SAMPLES <= measured["quick"].n
    assert measured["slow"].p99_us is None
    assert measured["quick"].p99_us is not None


def test_the_batch_is_filled_from_fewer_images() -> None:
    shapes = set()

    def predict(images: np.ndarray) -> np.ndarray:
        shapes.add(images.shape)
        return images

    latency.measure({"any": Predictor(predict)}, "any", IMAGES, 9, rounds=10)
    assert shapes == {(9, 2, 2)}


def test_the_machine_is_described_by_what_latency_depends_on() -> None:
    machine = latency.describe_machine()
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert set(machine["versions"]) == {"onnxruntime", "ai-edge-litert", "numpy"}
