"""Notify people of a night: a command or a web hook on failure and on recovery, and a heartbeat."""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from octavo.project import paths
from octavo.project.errors import ServiceUnavailable
from octavo.project.files import atomic_write
from octavo.project.params.nightly import Nightly
from octavo_mlflow.nightly.record import Night

TIMEOUT = 30
"""Seconds for a command or a server to accept a message."""
URL, HEARTBEAT_URL = "OCTAVO_NOTIFY_URL", "OCTAVO_HEARTBEAT_URL"
"""Environment variables for addresses that are secrets. They override `params.yaml`."""
SOON = timedelta(hours=1)
"""A retry of a night starts within this time, because schedulers start Octavo every ten minutes."""
HEARTBEAT = paths.NIGHTS / "heartbeat"
"""The time when the last night without trouble ended, ISO 8601. A monitor can watch its age."""


def tell(night: Night, before: Night | None, settings: Nightly) -> Night:
    """Send the notifications for `night`, and return its record with the results.

    Args:
        night: the night that ended.
        before: the night before it, or None.
        settings: of the nights.
    """
    said = message(night, before)
    results = {channel: _try(send) for channel, send in _channels(said, settings)} if said else {}
    if not night.is_trouble:
        results |= {channel: _try(beat) for channel, beat in _heartbeats(settings)}
    return night.model_copy(update={"notified": results})


def message(night: Night, before: Night | None) -> dict[str, Any] | None:
    """The message to send on trouble, and once after it on recovery. None if there is nothing to say."""
    recovered = before is not None and before.is_trouble and not night.is_trouble
    if (not night.is_trouble and not recovered) or (before and _is_tried_again(night, before)):
        return None
    kind = "recovery" if recovered else "failure"
    reasons = " ".join(night.reasons)
    return {
        "kind": kind,
        "project": paths.NIGHTS.absolute().parents[1].name,
        "night": night.name,
        "outcome": night.outcome,
        "text": f"Night {night.name}: {night.outcome}. {reasons}".strip(),
        "reasons": list(night.reasons),
        "champion": night.champion,
        "log": str(night.log),
    }


def _is_tried_again(night: Night, before: Night) -> bool:
    """Whether the night failed like the attempt right before it, of which people were notified."""
    codes = {night.exit_code, before.exit_code}
    return codes == {ServiceUnavailable.exit_code} and before.ended is not None and night.started < before.ended + SOON


def _channels(said: dict[str, Any], settings: Nightly) -> Iterator[tuple[str, Any]]:
    body = json.dumps(said, ensure_ascii=False).encode()
    if settings.notify.command:
        yield (
            "command",
            lambda: subprocess.run(
                settings.notify.command, input=body, check=True, timeout=TIMEOUT, capture_output=True
            ),
        )
    if url := os.environ.get(URL) or settings.notify.url:
        yield "url", lambda: _request(url, body)


def _heartbeats(settings: Nightly) -> Iterator[tuple[str, Any]]:
    yield (
        "heartbeat",
        lambda: atomic_write.write_text(HEARTBEAT, datetime.now(timezone.utc).isoformat(timespec="seconds") + "\n"),
    )
    if url := os.environ.get(HEARTBEAT_URL) or settings.heartbeat:
        yield "heartbeat url", lambda: _request(url, None)


def _request(url: str, body: bytes | None) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("the address is neither http nor https")
    request = Request(url, body, {"Content-Type": "application/json"} if body else {})  # noqa: S310 - checked above
    with urlopen(request, timeout=TIMEOUT):  # noqa: S310 - checked above
        pass


def _try(send: Any) -> str:
    try:
        send()
    except subprocess.CalledProcessError as error:
        return f"exit code {error.returncode}: {error.stderr.decode(errors='replace').strip()[-200:]}"
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}: {getattr(error, 'reason', error)}"
    return "sent"
