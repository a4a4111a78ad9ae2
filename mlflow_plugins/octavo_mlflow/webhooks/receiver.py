"""The HTTP part of `octavo webhook listen`: a verified delivery about the followed alias wakes its follower."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from octavo_mlflow.webhooks import delivery as webhooks_delivery
from octavo_mlflow.webhooks.delivery import DeliveryRefused
from octavo_mlflow.webhooks.follower import Follower

EVENT: Final = "model_version_alias.created"
"""The event that MLflow delivers when an alias is set."""
LARGEST = 64 * 1024
"""Limit for the bytes of a delivery; MLflow's have a few hundred."""


def receiver(secret: str, follower: Follower, stop: Callable[[], None]) -> Starlette:
    """An app that accepts deliveries at `/` and follows the alias while it runs. If the follower ends, the app stops.

    Args:
        secret: shared with MLflow.
        follower: woken by deliveries about its alias.
        stop: ends the server.
    """

    async def deliver(request: Request) -> JSONResponse:
        try:
            body = await _body(request)
            delivery = webhooks_delivery.verify(request.headers, body, secret, time.time())
            event = webhooks_delivery.event(body)
            _refuse_seen(follower.is_new(delivery, time.time()))
        except DeliveryRefused as error:
            return JSONResponse({"refused": str(error)}, error.status)
        about = (event["event"], event.get("name"), event.get("alias"))
        if about != (EVENT, follower.model, follower.alias):
            return JSONResponse({"ignored": f"this is about the alias {follower.alias} of {follower.model}"})
        follower.wake.set()
        return JSONResponse({"accepted": delivery}, 202)

    async def health(_: Request) -> PlainTextResponse:
        return PlainTextResponse("OK")

    @asynccontextmanager
    async def following(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(follower.follow())
        task.add_done_callback(lambda _: stop())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    routes = [Route("/", deliver, methods=["POST"]), Route("/health", health)]
    return Starlette(routes=routes, lifespan=following)


def _refuse_seen(is_new: bool | None) -> None:
    if is_new is None:
        raise DeliveryRefused(429, "too many deliveries in a few minutes")
    if not is_new:
        raise DeliveryRefused(409, "this delivery came before")


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST:
            raise DeliveryRefused(413, f"more than {LARGEST} bytes are no event")
    return body
