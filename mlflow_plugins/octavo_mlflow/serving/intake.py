"""HTTP routes of the scoring process, and limits on the memory that requests take.

POST /invocations is answered by the model in one worker thread. GET /health and GET /ping describe the deployment at
once, even while the worker is busy. A refused request gets a status and {"error_code": …, "message": a sentence}.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from octavo_mlflow.serving.answers import RequestRefused, ServedModel
from octavo_mlflow.serving.record import LOOPBACK

HOSTS = (LOOPBACK, "localhost")
LARGEST = 2**26
"""Limit for the bytes of a request: a colour image of 1024 × 1024 with 21 characters per number."""
HELD = 2 * LARGEST
"""Limit for the bytes of all requests together: one that is being answered and one that comes in."""
DISCARDED = 4 * LARGEST
"""A request that is too large is still read up to this many bytes, because most clients read the answer only then."""
WAITING = 1024
"""Limit for simultaneous requests: the number of files that most systems let a process open."""
PATIENCE, IMPATIENCE = 30.0, 3.0
"""Seconds within which a request must arrive, and seconds for the rest of a request that is refused."""


HEADERS = {HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "1"}, HTTPStatus.REQUEST_TIMEOUT: {"Connection": "close"}}


class Intake:
    """Counts the requests in memory and their bytes."""

    def __init__(self) -> None:
        self.requests = 0
        self.held = 0

    @asynccontextmanager
    async def body(self, request: Request, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytearray]:
        """Read the body of a request from its pieces. It counts against the limits until the block ends.

        Raises:
            RequestRefused: it is too large or too slow, or there are too many requests.
        """
        if int(request.headers.get("content-length", 0)) > LARGEST:
            raise _too_large()
        if self.requests >= WAITING:
            raise _too_many()
        body = bytearray()
        self.requests += 1
        try:
            await asyncio.wait_for(self._fill(body, pieces), PATIENCE)
            yield body
        except asyncio.TimeoutError:
            raise RequestRefused(
                HTTPStatus.REQUEST_TIMEOUT, f"The request was not here within {PATIENCE:g} seconds."
            ) from None
        finally:
            self.requests -= 1
            self.held -= len(body)
            with suppress(BufferError):  # the worker still reads it, although nobody waits for the answer
                body.clear()

    async def _fill(self, body: bytearray, pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            if len(body) + len(piece) > LARGEST:
                raise _too_large()
            if self.held + len(piece) > HELD:
                raise _too_many()
            body += piece
            self.held += len(piece)


def _too_large() -> RequestRefused:
    return RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {LARGEST:,} bytes; send fewer images.")


def _too_many() -> RequestRefused:
    most = f"at most {WAITING:,}, of {HELD:,} bytes together"
    return RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, f"Too many requests wait, {most}; try again in a second.")


def app(model: ServedModel, worker: Executor) -> Starlette:
    """The application that answers requests to `model`, which runs in the one thread of `worker`."""
    about = model.deployment.model_dump(mode="json", include={"name", "version", "variant", "sha256"})
    intake = Intake()

    async def health(request: Request) -> Response:
        _check_host(request)
        return JSONResponse(about)

    async def invocations(request: Request) -> Response:
        pieces = request.stream()
        try:
            _check_host(request)
            _check_type(request)
            async with intake.body(request, pieces) as body:
                answer = await asyncio.get_running_loop().run_in_executor(worker, _answer, model, body)
        except RequestRefused:
            await _discard(request, pieces)
            raise
        return Response(answer, media_type="application/json")

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/ping", health),
            Route("/invocations", invocations, methods=["POST"]),
        ],
        exception_handlers={
            RequestRefused: _refused,
            HTTPException: _unknown,
            ClientDisconnect: _unheard,
            Exception: _failed,
        },
    )


def _answer(model: ServedModel, body: bytearray) -> bytes:
    try:
        return to_json(model.answer(model.read(body)))
    except MemoryError:
        raise RequestRefused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This machine's memory is too small for that; send fewer images."
        ) from None


def _check_host(request: Request) -> None:
    """Refuse other host names, so that no web page can reach this server under its own name."""
    if request.headers.get("host", "").partition(":")[0] not in HOSTS:
        raise RequestRefused(HTTPStatus.FORBIDDEN, f"Ask for {' or '.join(HOSTS)}.")


def _check_type(request: Request) -> None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RequestRefused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json.")


async def _discard(request: Request, pieces: AsyncIterator[bytes]) -> None:
    """Read the rest of a request, because most clients read the answer only after they have sent everything."""

    async def rest() -> None:
        size = 0
        async for piece in pieces:
            size += len(piece)
            if size > DISCARDED:
                return

    if int(request.headers.get("content-length", 0)) <= DISCARDED:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(rest(), IMPATIENCE)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)
    return _told(error.status, str(error), HEADERS.get(error.status))


async def _unknown(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _told(HTTPStatus(error.status_code), "There are GET /health and POST /invocations.", error.headers)


async def _unheard(*_: object) -> Response:
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _failed(*_: object) -> Response:
    return _told(HTTPStatus.INTERNAL_SERVER_ERROR, "This is a fault of the server; its log has more.")


def _told(status: HTTPStatus, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error_code": status.name, "message": sentence}, status, headers)
