"""A Resize is written only if LiteRT takes each pixel from the place that ONNX's takes it from; else it is refused."""

from itertools import product

import numpy as np
import pytest

from octavo.project.errors import ModelError
from octavo.quantization.litert.writing import write
from tests.contracts.eager_graph import Graph
from tests.octavo.quantization.litert.running import answers

HOW = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "tf_half_pixel_for_nn")
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
SIZES = ((10, 12), (15, 6), (4, 3), (1, 1), (7, 11), (5, 6))
EVERY = [("nearest", how, *each) for how in HOW[:4] for each in product(NEAREST, SIZES)]
EVERY += [("linear", how, "floor", size) for how in HOW[:4] for size in SIZES]
SOURCE = (5, 6)


def resized(mode: str, how: str, rounding: str, size: tuple[int, int], by_scales: bool) -> tuple[Graph, str]:
    rng = np.random.default_rng(0)
    graph = Graph(rng.normal(size=(2, 3, *SOURCE)).astype(np.float32), rng)
    more = {"mode": mode, "coordinate_transformation_mode": how, "nearest_mode": rounding}
    if by_scales:
        factors = [1, 1, *(out / given for out, given in zip(size, SOURCE, strict=True))]
        return graph, graph.add("Resize", "images", "", graph.constant(factors), **more)
    return graph, graph.add("Resize", "images", "", "", graph.constant([2, 3, *size], np.int64), **more)


@pytest.mark.parametrize("by_scales", [True, False], ids=["scales", "sizes"])
def test_what_is_written_computes_the_same(by_scales: bool) -> None:
    written = 0
    for mode, how, rounding, size in EVERY:
        try:
            graph, value = resized(mode, how, rounding, size, by_scales)
        except Exception:  # noqa: BLE001, S112 # onnxruntime has not every combination
            continue
        images, expected = graph.values["images"], graph.values[value]
        if expected.shape[2:] != size:  # scales are cut off
            continue
        if not by_scales:  # a size for each example: that of one
            graph.constants["constant0"] = np.array([1, 3, *size])
            images, expected = images[:1], expected[:1]
        try:
            content = write(graph.model(), images.shape[1:]).content
        except ModelError as error:
            assert "Resize" in str(error) or "computes nothing" in str(error)  # noqa: PT017
            continue
        written += 1
        np.testing.assert_allclose(answers(content, images), expected, atol=1e-5, err_msg=f"{mode} {how} {rounding}")
    assert written > 25


@pytest.mark.parametrize(
    ("mode", "how", "rounding"),
    [
        ("nearest", "asymmetric", "floor"),
        ("nearest", "half_pixel", "round_prefer_ceil"),
        ("linear", "half_pixel", "floor"),
        ("linear", "pytorch_half_pixel", "floor"),
        ("linear", "align_corners", "floor"),
        ("linear", "asymmetric", "floor"),
    ],
)
@pytest.mark.parametrize("size", [(10, 12), (20, 18)])
def test_what_exporters_write_for_whole_factors_is_not_refused(
    mode: str, how: str, rounding: str, size: tuple[int, int]
) -> None:
    graph, value = resized(mode, how, rounding, size, by_scales=True)
    images, expected = graph.values["images"], graph.values[value]
    np.testing.assert_allclose(answers(write(graph.model(), images.shape[1:]).content, images), expected, atol=1e-5)


def test_a_cubic_resize_is_refused_by_name() -> None:
    graph, _ = resized("cubic", "half_pixel", "floor", (10, 12), by_scales=True)
    with pytest.raises(ModelError, match=r"a Resize of mode 'cubic'"):
        write(graph.model(), (3, *SOURCE))
