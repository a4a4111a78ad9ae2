"""A delivery counts when MLflow signed it just now."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.webhooks.delivery import _generate_hmac_signature

from octavo_mlflow.webhooks.delivery import FRESH, DeliveryRefused, event, verify

NOW = 1_764_000_000
SECRET = "0f" * 32
TEXT = st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1)


def signed(body: str, secret: str = SECRET, delivery: str = "id-1", at: float = NOW) -> dict[str, str]:
    """Headers as MLflow's own sender makes them."""
    timestamp = str(int(at))
    return {
        "x-mlflow-delivery-id": delivery,
        "x-mlflow-timestamp": timestamp,
        "x-mlflow-signature": _generate_hmac_signature(secret, delivery, timestamp, body),
    }


@given(body=st.text(), secret=st.text(min_size=1), delivery=TEXT)
def test_what_mlflow_signed_is_taken(body: str, secret: str, delivery: str) -> None:
    body, secret = (text.encode(errors="replace").decode() for text in (body, secret))
    assert verify(signed(body, secret, delivery), body.encode(), secret, NOW) == delivery


@given(body=st.binary(), other=st.binary())
def test_another_body_is_refused(body: bytes, other: bytes) -> None:
    headers = signed(body.decode("latin-1"))
    if other != body.decode("latin-1").encode():
        with pytest.raises(DeliveryRefused) as refused:
            verify(headers, other, SECRET, NOW)
        assert refused.value.status == 401


@pytest.mark.parametrize("name", list(signed("")))
@pytest.mark.parametrize("value", ["", "x", "v1,", "v1,x", "v1,====", "v2", "1764000001", "\u00e9", None])
def test_another_header_is_refused(name: str, value: str | None) -> None:
    headers = {**signed("{}"), name: value}
    with pytest.raises(DeliveryRefused) as refused:
        verify({key: text for key, text in headers.items() if text is not None}, b"{}", SECRET, NOW)
    assert refused.value.status == 401


def test_another_secret_or_version_is_refused() -> None:
    headers = signed("{}")
    signature = headers["x-mlflow-signature"]
    for secret, given_signature in (("1f" * 32, signature), (SECRET, signature.replace("v1,", "v2,"))):
        with pytest.raises(DeliveryRefused, match="signature"):
            verify({**headers, "x-mlflow-signature": given_signature}, b"{}", secret, NOW)


@given(late=st.floats(-10 * FRESH, 10 * FRESH))
def test_it_is_fresh_for_five_minutes_either_way(late: float) -> None:
    headers = signed("{}")
    if abs(late) <= FRESH:
        verify(headers, b"{}", SECRET, NOW + late)
    else:
        with pytest.raises(DeliveryRefused, match="timestamp") as refused:
            verify(headers, b"{}", SECRET, NOW + late)
        assert refused.value.status == 400


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1e9"])
def test_a_timestamp_that_is_none_is_refused_even_if_signed(timestamp: str) -> None:
    signature = _generate_hmac_signature(SECRET, "id-1", timestamp, "{}")
    headers = {"x-mlflow-delivery-id": "id-1", "x-mlflow-timestamp": timestamp, "x-mlflow-signature": signature}
    with pytest.raises(DeliveryRefused, match="timestamp"):
        verify(headers, b"{}", SECRET, NOW)


def test_an_event_is_what_mlflow_sends() -> None:
    data = {"name": "octavo", "alias": "champion", "version": "3"}
    body = {"entity": "model_version_alias", "action": "created", "timestamp": "now", "data": data}
    assert event(json.dumps(body).encode()) == {"event": "model_version_alias.created", **data}
    for text in (b"", b"\xff", b"[]", b"3", b"{}", json.dumps(body | {"data": 3}).encode()):
        with pytest.raises(DeliveryRefused) as refused:
            event(text)
        assert refused.value.status == 400
