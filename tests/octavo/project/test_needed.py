"""Only the networks that some variant needs are trained."""

import pytest

from octavo.project.needed import needed
from octavo.project.params import Variant


@pytest.mark.parametrize(
    ("sources", "networks"),
    [
        (["fp32"], {"fp32"}),
        (["control"], {"fp32", "control"}),
        (["fp32", "qat"], {"fp32", "control", "qat"}),
        ([], {"fp32"}),
    ],
)
def test_a_source_brings_what_it_starts_from_and_is_compared_with(sources: list[str], networks: set[str]) -> None:
    variants = [Variant.model_validate({"source": source, "recipe": "onnx_fp32"}) for source in sources]
    assert needed(variants) == networks
