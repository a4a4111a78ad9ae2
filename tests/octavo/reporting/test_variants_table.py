"""What the table says of a verdict."""

import pytest

from octavo.reporting.variants_table import VariantLine, verdict


@pytest.mark.parametrize(
    ("judged", "unmet", "undecided", "winner", "told"),
    [
        ("pass", (), (), True, "pass, winner"),
        ("pass", (), (), False, "pass"),
        ("fail", ("latency", "size"), (), False, "fail: latency, size"),
        ("underpowered", ("accuracy",), ("accuracy",), False, "underpowered: accuracy"),
        ("fail", ("accuracy", "latency"), ("accuracy",), False, "fail: latency; undecided: accuracy"),
    ],
)
def test_what_is_not_decided_is_not_called_a_failure(
    judged: str, unmet: tuple[str, ...], undecided: tuple[str, ...], winner: bool, told: str
) -> None:
    line = VariantLine(
        variant="a", verdict=judged, unmet=unmet, undecided=undecided, reasons=unmet, winner=winner, sqnr_db=None
    )
    assert verdict(line) == told
