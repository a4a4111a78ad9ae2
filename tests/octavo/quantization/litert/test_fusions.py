"""Operators that exporters write in parts become one; parts that are something else, or read elsewhere, stay."""

import numpy as np
import pytest

from octavo.quantization.litert import fusions
from tests.contracts.eager_graph import Graph

HALF, ROOT = 0.5, 2**0.5


def graph() -> Graph:
    rng = np.random.default_rng(0)
    return Graph(rng.normal(0, 2, (4, 3, 5)).astype(np.float32), rng)


def kinds(made: Graph) -> list[str]:
    model = made.model()
    fusions.fuse(model)
    return [node.op_type for node in model.graph.node if node.op_type != "Identity"]


@pytest.mark.parametrize("turned", [False, True])
def test_hard_swish_is_seen(turned: bool) -> None:
    made = graph()
    gate = made.add("HardSigmoid", "images", alpha=1 / 6, beta=0.5)
    made.add("Mul", *((gate, "images") if turned else ("images", gate)))
    assert "HardSwish" in kinds(made)


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.5), (1 / 6, 0.4)])
def test_other_lines_are_no_hard_swish(alpha: float, beta: float) -> None:
    made = graph()
    made.add("Mul", "images", made.add("HardSigmoid", "images", alpha=alpha, beta=beta))
    assert "HardSwish" not in kinds(made)


def test_a_gate_of_another_value_is_no_hard_swish() -> None:
    made = graph()
    gate = made.add("HardSigmoid", made.add("Neg", "images"), alpha=1 / 6, beta=0.5)
    made.add("Mul", "images", gate)
    assert "HardSwish" not in kinds(made)


def gelu(made: Graph, form: int, half: float = HALF, root: float = ROOT, one: float = 1.0) -> str:
    scaled = (
        made.add("Div", "images", made.constant(root))
        if form % 2
        else made.add("Mul", made.constant(1 / root), "images")
    )
    total = made.add("Add", made.add("Erf", scaled), made.constant(one))
    if form < 2:
        return made.add("Mul", made.add("Mul", "images", total), made.constant(half))
    if form < 4:
        return made.add("Mul", made.add("Mul", made.constant(half), total), "images")
    return made.add("Mul", made.add("Mul", "images", made.constant(half)), total)


@pytest.mark.parametrize("form", range(6))
def test_gelu_is_seen_in_every_order(form: int) -> None:
    made = graph()
    gelu(made, form)
    found = kinds(made)
    assert "Gelu" in found
    assert "Erf" not in [kind for kind in found if kind in found[found.index("Gelu") :]]


@pytest.mark.parametrize("numbers", [{"half": 0.4}, {"root": 1.5}, {"one": 0.9}])
def test_other_numbers_are_no_gelu(numbers: dict[str, float]) -> None:
    for form in range(6):
        made = graph()
        gelu(made, form, **numbers)
        assert "Gelu" not in kinds(made)


def test_parts_that_others_read_stay() -> None:
    made = graph()
    scaled = made.add("Div", "images", made.constant(ROOT))
    erf = made.add("Erf", scaled)
    total = made.add("Add", erf, made.constant(1.0))
    result = made.add("Mul", made.add("Mul", "images", total), made.constant(HALF))
    made.add("Add", result, erf)
    assert "Erf" in kinds(made)
