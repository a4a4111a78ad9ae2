"""What tags and records say of a promotion that others approve."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.promotion import audit_record
from octavo.promotion.audit_record import Move
from octavo_mlflow.registry import consent
from octavo_mlflow.registry.standing import APPROVED, HEAD, REQUEST, State
from octavo_mlflow.server.four_eyes import in_approval, in_move, in_names, in_request, in_way_round

ASKED = Move(
    sequence=3,
    parent=64 * "a",
    when="2026-11-27T02:30:00+00:00",
    who="ann",
    action="promote",
    model="octavo",
    variant="onnx_int8_static",
    version="7",
    before={"champion": "6", "anchor": "2"},
    after={"champion": "7", "previous": "6", "anchor": "2"},
    reasons=(),
    note=None,
    digests={"model": 64 * "b", "folder": 64 * "c", "grounds": 64 * "d"},
)
LATER = "2026-11-27T08:00:00+00:00"


def state(asked: Move | None = ASKED, by: tuple[str, ...] = ()) -> State:
    tags = {REQUEST: asked.name} if asked else {}
    return State("octavo", 0, {}, tags | ({APPROVED: consent.tag(asked.hash, by)} if asked and by else {}))


@given(st.text(max_size=64), st.lists(st.text(max_size=20), max_size=4).map(tuple))
def test_a_tag_says_what_was_written(request: str, by: tuple[str, ...]) -> None:
    assert consent.parsed(consent.tag(request, by)) == (request, by)


@given(
    st.text()
    | st.recursive(st.none() | st.text(), st.lists).map(str)
    | st.sampled_from(["{}", "[]", '{"by":"ann","request":"x"}', '{"by":[1],"request":"x"}', 9999 * "["])
)
def test_any_other_tag_says_nothing(text: str) -> None:
    assert consent.parsed(text) == ("", ())
    assert consent.asked(State("octavo", 0, {}, {REQUEST: text})) is None


CHANGES: list[dict[str, Any]] = [
    {"who": "bob"},
    {"version": "8"},
    {"after": {"champion": "8"}},
    {"before": {}},
    {"sequence": 4},
    {"parent": 64 * "e"},
    {"note": "it is Friday"},
    {"action": "rollback"},
    {"digests": ASKED.digests | {"model": 64 * "0"}},
    {"digests": ASKED.digests | {"folder": 64 * "0"}},
    {"digests": ASKED.digests | {"grounds": 64 * "0"}},
    {"gone": {"anchor": "1"}},
    {"request": 64 * "f"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_record_of_anything_else_was_not_approved(change: dict[str, Any]) -> None:
    made = consent.granted(ASKED, ("bob",), LATER)
    assert consent.is_of(made, ASKED)
    assert not consent.is_of(made.model_copy(update=change), ASKED)
    now = state(by=("bob",))
    assert list(in_move(now, made, ASKED, "bob", 1)) == []
    assert list(in_move(now, made.model_copy(update=change), ASKED, "bob", 1)) != []


@pytest.mark.parametrize(
    ("by", "said", "needed"),
    [
        ((), (), 1),
        ((), ("bob",), 1),
        (("bob",), (), 1),
        (("bob",), ("bob",), 2),
        (("bob", "carol"), ("bob",), 1),
        (("ann",), ("ann",), 1),
    ],
)
def test_too_few_approvals_or_others_than_were_given(by: tuple[str, ...], said: tuple[str, ...], needed: int) -> None:
    assert list(in_move(state(by=by), consent.granted(ASKED, said, LATER), ASKED, "bob", needed)) != []


def test_an_approval_is_of_the_open_request_only() -> None:
    other = ASKED.model_copy(update={"version": "8"})
    made = consent.granted(ASKED, ("bob",), LATER)
    open_now = State("octavo", 0, {}, {REQUEST: other.name, APPROVED: consent.tag(ASKED.hash, ("bob",))})
    assert list(in_move(open_now, made, ASKED, "bob", 1)) != []
    assert consent.approvers(open_now, other.hash) == ()


def test_names_are_those_that_the_server_knows() -> None:
    now = state()
    own = consent.tag(ASKED.hash, ("bob",))
    assert list(in_approval(now, ASKED, own, "bob")) == []
    for value, sender in (
        (own, "ann"),
        (own, "carol"),
        (own, None),
        (consent.tag(ASKED.hash, ("ann",)), "ann"),
        (consent.tag(ASKED.hash, ("carol", "bob")), "bob"),
        (consent.tag(64 * "0", ("bob",)), "bob"),
        (consent.tag(ASKED.hash, ()), "bob"),
    ):
        assert list(in_approval(now, ASKED, value, sender)) != []
    assert list(in_approval(state(by=("bob",)), ASKED, consent.tag(ASKED.hash, ("bob", "bob")), "bob")) != []
    assert list(in_request(state(None), ASKED, "ann")) == []
    unbound = ASKED.model_copy(update={"digests": {"model": 64 * "b", "grounds": 64 * "d"}})
    approved = consent.granted(ASKED, ("bob",), LATER)
    for asked, sender in ((ASKED, "bob"), (ASKED, None), (unbound, "ann"), (approved, "ann")):
        assert list(in_request(state(None), asked, sender)) != []
    assert list(in_request(state(by=("bob",)), ASKED, "ann")) != []


def test_without_a_request_a_promotion_is_refused_where_it_needs_one() -> None:
    assert list(in_move(state(None), ASKED, None, "ann", 0)) == []
    assert list(in_move(state(None), ASKED, None, None, 0)) == []
    for sender, needed in (("ann", 1), (None, 1), ("bob", 0)):
        assert list(in_move(state(None), ASKED, None, sender, needed)) != []


def test_there_is_no_way_round() -> None:
    first = ASKED.model_copy(update={"sequence": 1, "version": "2", "before": {}, "after": {"champion": "2"}})
    back = ASKED.model_copy(update={"action": "rollback", "version": "2", "after": {"champion": "2", "anchor": "2"}})
    assert list(in_way_round(back, [first])) == []
    assert list(in_way_round(back, [])) != []
    assert list(in_way_round(back, [first.model_copy(update={"digests": {}})])) != []
    assert list(in_way_round(back, [first.model_copy(update={"action": "repair"})])) != []
    assert list(in_way_round(back.model_copy(update={"after": {"champion": "2", "anchor": "5"}}), [first])) != []
    mended = ASKED.model_copy(update={"action": "repair", "after": {"champion": "2", "anchor": "2"}})
    assert list(in_way_round(mended, [first])) == []
    assert list(in_way_round(mended.model_copy(update={"after": {"champion": "5"}}), [first])) != []


@pytest.mark.parametrize(
    "key", ["Audit.Approved", " audit.head", "audit.request\u200b", "audit.approv\u00e9d", APPROVED]
)
def test_a_model_is_not_born_approved_nor_approved_by_a_name_that_looks_alike(key: str) -> None:
    assert list(in_names(["team", key], is_new=True)) != []
    assert (list(in_names([key], is_new=False)) == []) == (key == APPROVED)
    assert list(in_names(["team", "audit", HEAD + "s"], is_new=True)) == []


def test_a_chain_shows_who_approved_what_they_asked_for() -> None:
    whole = ASKED.model_copy(update={"sequence": 1, "parent": audit_record.ORIGIN})
    assert list(audit_record.faults([consent.granted(whole, ("bob",), LATER)])) == []
    for by in (("ann",), ("bob", "bob")):
        (fault,) = audit_record.faults([consent.granted(whole, by, LATER)])
        assert "which 'ann' asked for, is approved by" in fault


def test_records_of_earlier_releases_keep_their_hash() -> None:
    assert "request" not in ASKED.line()
    assert "approved" not in ASKED.line()
