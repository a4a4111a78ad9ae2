"""A chain of records shows every change to any of them."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.project.errors import AuditFailed
from octavo.promotion import audit_record
from octavo.promotion.audit_record import Move


def chain(length: int) -> list[Move]:
    made: list[Move] = []
    for number in range(1, length + 1):
        made.append(
            Move(
                sequence=number,
                parent=made[-1].hash if made else audit_record.ORIGIN,
                when="2026-11-25T02:30:00+00:00",
                who="night@server",
                action="promote",
                model="octavo",
                variant="onnx_int8_static",
                version=str(number),
                before={"champion": str(number - 1)} if made else {},
                after={"champion": str(number)},
                reasons=(),
                note=None,
                digests={"model": f"{number:064}"},
            )
        )
    return made


def test_a_whole_chain_has_no_faults(tmp_path: Path) -> None:
    made = chain(5)
    assert list(audit_record.faults(made)) == []
    audit_record.write(tmp_path / "log.jsonl", made)
    assert audit_record.read(tmp_path / "log.jsonl") == made
    assert audit_record.read(tmp_path / "none.jsonl") == []


CHANGES: list[dict[str, Any]] = [
    {"who": "somebody else"},
    {"note": "why not"},
    {"version": "9"},
    {"after": {"champion": "9"}},
    {"digests": {"model": "0" * 64}},
    {"when": "2026-11-26T02:30:00+00:00"},
]


@given(st.integers(0, 3), st.sampled_from(CHANGES))
def test_a_changed_record_breaks_the_chain_behind_it(place: int, change: dict[str, Any]) -> None:
    """Of the last one, which nothing is behind, the hash is another: that one stands in MLflow."""
    made = chain(5)
    forged = [*made[:place], made[place].model_copy(update=change), *made[place + 1 :]]
    assert any(f"record {place + 2} follows" in fault for fault in audit_record.faults(forged))
    assert made[4].model_copy(update=change).hash != made[4].hash


@given(st.permutations(range(4)))
def test_dropping_or_reordering_breaks_the_chain(order: list[int]) -> None:
    made = chain(5)
    if order != [0, 1, 2, 3]:
        assert list(audit_record.faults([made[place] for place in order]))
    for dropped in range(4):
        assert list(audit_record.faults([*made[:dropped], *made[dropped + 1 :]]))


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    audit_record.write(path, chain(2))
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(AuditFailed, match=r"Line 3 of .*log\.jsonl is not a record"):
        audit_record.read(path)
