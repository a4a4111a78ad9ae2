"""Which networks the variants need; the others are not trained."""

from collections.abc import Iterable

from octavo.project.params import Variant

OPTIONAL = ("control", "qat")
"""Those that start from `fp32`, which is always needed."""


def needed(variants: Iterable[Variant]) -> frozenset[str]:
    """Each variant's source, and what it stands on: `qat` is compared with `control`, and both start from `fp32`."""
    sources = {variant.source for variant in variants}
    return frozenset({"fp32", *sources, *({"control"} if "qat" in sources else ())})


def why_not(network: str) -> str:
    """What to say of a network that is not needed."""
    users = "'control' or 'qat'" if network == "control" else f"'{network}'"
    return f"No variant in params.yaml has source {users}, so network '{network}' is not trained."
