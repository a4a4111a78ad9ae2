"""Verify MLflow's webhook deliveries: accept what MLflow sent in the last minutes, refuse the rest.

MLflow signs a delivery as `v1,base64(HMAC-SHA256(secret, "{delivery id}.{timestamp}.{body}"))`, in three headers
(`mlflow.webhooks.delivery`, after https://www.standardwebhooks.com).

It is Octavo's own because the package standardwebhooks reads other headers than MLflow sends, and ends in a
`ValueError` where a signature is malformed.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from mlflow.webhooks.constants import (
    WEBHOOK_DELIVERY_ID_HEADER,
    WEBHOOK_SIGNATURE_HEADER,
    WEBHOOK_SIGNATURE_VERSION,
    WEBHOOK_TIMESTAMP_HEADER,
)

from octavo.project.files import json_file

FRESH = 300.0
"""Seconds by which a delivery's time may differ from this machine's clock."""


class DeliveryRefused(Exception):
    """A delivery that is refused, with its HTTP status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def verify(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> str:
    """Verify a delivery's signature and time, and return its id.

    Args:
        headers: of the request; names in lower case, or a mapping that ignores case.
        body: as received.
        secret: shared with MLflow.
        now: seconds since 1970.

    Raises:
        DeliveryRefused: 401 if the signature is wrong, 400 if the time differs too much.
    """
    delivery, timestamp, given = (
        headers.get(name.lower(), "")
        for name in (WEBHOOK_DELIVERY_ID_HEADER, WEBHOOK_TIMESTAMP_HEADER, WEBHOOK_SIGNATURE_HEADER)
    )
    version, _, encoded = given.partition(",")
    try:
        signature = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    signed = f"{delivery}.{timestamp}.".encode() + body
    right = hmac.compare_digest(hmac.new(secret.encode(), signed, hashlib.sha256).digest(), signature)
    if not right or version != WEBHOOK_SIGNATURE_VERSION or not delivery:
        raise DeliveryRefused(401, "the signature is not that of the secret")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > FRESH:
        raise DeliveryRefused(400, "the timestamp is not of the last minutes")
    return delivery


def event(body: bytes) -> dict[str, Any]:
    """The event in a verified delivery.

    Raises:
        DeliveryRefused: 400 if the body is not an event.
    """
    try:
        told = json_file.parse(body)
        return {"event": f"{told['entity']}.{told['action']}", **told["data"]}
    except (ValueError, TypeError, KeyError):
        raise DeliveryRefused(400, "the body is not an event") from None
