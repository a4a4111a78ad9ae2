"""Padding of windows: LiteRT pads by itself where its rule gives the same, and nowhere else."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import helper

from octavo.quantization.litert.operators import windows
from octavo.quantization.litert.writing import write
from tests.contracts.eager_graph import Graph
from tests.octavo.quantization.litert.running import answers

SAME, VALID, APART = schema.Padding.SAME, schema.Padding.VALID, -1


def padding(size: int, stride: int, given: int, pads: tuple[int, int], wanted: int) -> int:
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[stride], pads=pads)
    return windows.window(node, (size,), (given,), (wanted,)).padding


@pytest.mark.parametrize(
    ("size", "stride", "given", "pads", "wanted", "expected"),
    [
        (3, 1, 8, (1, 1), 8, SAME),
        (3, 1, 8, (0, 0), 6, VALID),
        (3, 2, 8, (0, 1), 4, SAME),
        (3, 2, 8, (1, 0), 4, APART),
        (3, 2, 8, (1, 1), 4, APART),
        (3, 2, 9, (1, 1), 5, SAME),
        (2, 2, 8, (0, 0), 4, VALID),
        (1, 1, 8, (0, 0), 8, VALID),
        (5, 1, 8, (2, 2), 8, SAME),
        (4, 1, 8, (1, 2), 8, SAME),
        (4, 1, 8, (2, 1), 8, APART),
        (3, 1, 8, (2, 2), 10, APART),
        (2, 2, 9, (0, 0), 4, VALID),
    ],
)
def test_same_and_valid_are_told_from_padding_of_its_own(
    size: int, stride: int, given: int, pads: tuple[int, int], wanted: int, expected: int
) -> None:
    assert padding(size, stride, given, pads, wanted) == expected


def every_window() -> Iterator[dict[str, Any]]:
    for size, stride, dilation, height in product((1, 2, 3), (1, 2, 3), (1, 2), (7, 8)):
        reach = (size - 1) * dilation
        for pads in {(0, 0), (reach // 2, reach - reach // 2), (reach, 0), (0, reach)}:
            yield {
                "size": size,
                "height": height,
                "attributes": {
                    "strides": [stride, 1],
                    "dilations": [dilation, 1],
                    "pads": [pads[0], 1, pads[1], 0],
                },
            }


def test_every_window_sees_what_it_should() -> None:
    """A network with many convolutions, each of its own window, whose sums are its output."""
    rng = np.random.default_rng(0)
    for height in (7, 8):
        graph = Graph(rng.normal(size=(2, 2, height, 5)).astype(np.float32), rng)
        values = []
        for case in [case for case in every_window() if case["height"] == height]:
            weights = graph.constant(rng.normal(size=(1, 2, case["size"], 2)))
            made = graph.add("Conv", "images", weights, **case["attributes"])
            values.append(graph.add("ReduceMax", made, axes=[2, 3], keepdims=0))
        value = graph.add("Concat", *values, axis=1)
        content = write(graph.model(), graph.shape("images")).content
        np.testing.assert_allclose(answers(content, graph.values["images"]), graph.values[value], atol=1e-4)
