"""Whether a model of earlier data may have been trained on today's test images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.data import prepare
from octavo.data.partition import partition
from octavo.data.sources.raw import Files
from octavo.data.splits import Manifest, Split
from octavo.data.unseen import why_not
from octavo.project.params.data import Data

N = 120
WHOLE = Split(np.arange(N, dtype=np.uint8).reshape(N, 1, 1), np.arange(N) % 2)
FILES = np.frombuffer(np.random.default_rng(0).bytes(16 * N), "S16")
"""Digests of the files that these images might have come from."""


def made(n: int, by_file: bool = False, **changes: Any) -> tuple[set[int], set[int], Manifest]:
    """Images learned from, images tested on, and the manifest, of the first `n` images."""
    data = Data.model_validate({"source": "npz", "path": Path("-"), "calibration": 4, **changes})
    files = Files(FILES[:n], tuple(map(str, range(n)))) if by_file else None
    parts = partition(Split(WHOLE.images[:n], WHOLE.labels[:n]), None, ["a", "b"], data, files)
    values = {name: set(part.images.ravel().tolist()) for name, part in parts.splits.items()}
    return values["train"] | values["selection"], values["test"], prepare.describe(parts, ["a", "b"], data, files=files)


cuts = st.fixed_dictionaries(
    {
        "n": st.sampled_from([100, N]),
        "by_file": st.booleans(),
        "seed": st.sampled_from([0, 1]),
        "test": st.sampled_from([0.1, 0.2, 0.3]),
    }
)


@settings(max_examples=100, deadline=None)
@given(now=cuts, then=cuts)
def test_a_model_that_is_compared_with_has_seen_no_test_image(now: dict[str, Any], then: dict[str, Any]) -> None:
    (_, tested, today), (learned, _, before) = made(**now), made(**then)
    if why_not(today, before) is None:
        assert not tested & learned
    else:
        assert any(now[name] != then[name] for name in ("by_file", "seed", "test"))


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "the same": ({}, {}, None),
    "another rule": ({"split_rule": 2}, {"split_rule": 1}, "split by rule 1, those of today are by rule 2"),
    "another seed": ({"seed": 1}, {}, "with data.seed 0, those of today are with 1"),
    "a larger share": ({"test_share": 0.3}, {"test_share": 0.2}, "data.test was 0.2 for its data, and is 0.3 today"),
    "a smaller share": ({"test_share": 0.1}, {"test_share": 0.2}, None),
    "a share from before it was recorded": ({"test_share": 0.3}, {"test_share": None}, None),
    "own test splits, whatever the rule": (
        {"own_test": True, "split_rule": 2, "seed": 1},
        {"own_test": True},
        None,
    ),
    "an own test split now": ({"own_test": True}, {}, "were split here, and those of today had a test split"),
}


@pytest.mark.parametrize(("now", "then", "why"), CASES.values(), ids=CASES.keys())
def test_why_a_model_is_not_compared_with(now: dict[str, Any], then: dict[str, Any], why: str | None) -> None:
    *_, manifest = made(N)
    found = why_not(manifest.model_copy(update=now), manifest.model_copy(update=then))
    assert found == why if why is None else found and why in found


def test_data_that_are_not_known_are_not_compared_with() -> None:
    assert "not recorded" in str(why_not(made(N)[2], None))
