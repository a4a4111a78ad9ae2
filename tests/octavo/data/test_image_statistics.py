"""What the manifest says of pixels: the truth, in bins that stay comparable as data grow."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.data.image_statistics import BINS, CHUNK, brightness_and_contrast, measure, middles, pixel_range


@pytest.mark.parametrize("shape", [(3, 5, 4), (CHUNK + 7, 6, 6, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_statistics_are_those_of_all_pixels_and_of_each_image(shape: tuple[int, ...], dtype: str) -> None:
    images = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    values = pixel_range([images])
    found = measure(images, values)

    assert found.mean == pytest.approx(images.mean(dtype=np.float64))
    assert found.std == pytest.approx(images.std(dtype=np.float64))
    for counts, each in zip((found.brightness, found.contrast), brightness_and_contrast(images), strict=True):
        assert (len(counts), sum(counts)) == (BINS, len(images))
        assert len(each) == len(images)
    means = images.reshape(len(images), -1).mean(axis=1, dtype=np.float64)
    bins = np.minimum((means - values[0]) / (values[1] - values[0]) * BINS, BINS - 1).astype(int)
    assert found.brightness == tuple(np.bincount(bins, minlength=BINS))


def test_black_white_and_the_starkest_images_are_counted() -> None:
    checkers = np.indices((4, 4)).sum(axis=0) % 2 * 255
    found = measure(np.stack([np.zeros((4, 4)), np.full((4, 4), 255), checkers]).astype(np.uint8), (0.0, 255.0))

    assert (found.brightness[0], found.brightness[-1], found.brightness[BINS // 2]) == (1, 1, 1)
    assert (found.contrast[0], found.contrast[-1]) == (2, 1)


@pytest.mark.parametrize(
    ("pixels", "dtype", "expected"),
    [
        ([3, 9], "uint8", (0, 255)),
        ([0, 1], "float32", (0, 1)),
        ([0, 0.2], "float32", (0, 0.25)),
        ([0, 1.0000001], "float32", (0, 2)),
        ([-0.1, 2.5], "float32", (-4, 4)),
        ([-4, 1], "float32", (-4, 4)),
        ([0, 0], "float32", (0, 1)),
    ],
)
def test_the_range_is_the_dtype_s_or_the_next_power_of_two(pixels: Any, dtype: str, expected: Any) -> None:
    assert pixel_range([np.array(pixels, dtype)]) == expected


@settings(max_examples=100, deadline=None)
@given(
    small=st.floats(-1e6, 1e6, width=32).filter(bool),
    large=st.floats(-1e6, 1e6, width=32),
    name=st.sampled_from(["brightness", "contrast"]),
)
def test_bins_of_one_range_are_whole_bins_of_a_wider_one(small: float, large: float, name: Any) -> None:
    narrow = pixel_range([np.array([small], np.float32)])
    wide = pixel_range([np.array([small, large, -abs(large)], np.float32)])
    inner, outer = middles(name, narrow), middles(name, wide)
    half, width = (outer[1] - outer[0]) / 2, inner[1] - inner[0]

    assert width <= 2 * half
    nearest = np.abs(inner[:, None] - outer[None]).min(axis=1)
    assert (nearest + width / 2 <= half).all()


def test_the_same_images_give_the_same_bytes() -> None:
    images = np.random.default_rng(0).standard_normal((600, 9, 9)).astype(np.float32)
    assert measure(images, (-8, 8)).model_dump_json() == measure(images.copy(), (-8, 8)).model_dump_json()
