"""One HTTP connection of the scoring process. Corrects two cases in which uvicorn waits for ever or answers twice."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

IDLE = 30
"""Seconds that a connection stays open without a complete request head."""


class Connection(H11Protocol):
    """Closes a connection whose request head does not come in time, and answers a bad request only once."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unwatch()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP, unless an answer has started, and stop the app from answering."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(IDLE, self.transport.abort)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
