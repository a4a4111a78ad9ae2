"""The process that serves one model over HTTP on loopback, in the format of MLflow's scoring servers.

`process` runs it as `python -m octavo_mlflow.serving.server FOLDER`. It does not import MLflow, so it starts quickly
and stays small. `connection` and `intake` are its HTTP, `answers` reads requests, and uvicorn is the server.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from octavo.project.errors import ModelError, boundary
from octavo.project.files import atomic_write
from octavo.project.files.file_lock import exclusive
from octavo_mlflow.serving import intake
from octavo_mlflow.serving.answers import ServedModel
from octavo_mlflow.serving.connection import IDLE, Connection
from octavo_mlflow.serving.record import ALIVE, LOOPBACK, SERVER

BACKLOG = 2048
"""Connections that may wait to be accepted."""
FIRST = 0.5
"""Seconds for the first request of a connection when the server ends."""
SWITCH = 0.0005
"""Seconds that the model's thread may keep Python's lock while other threads wait for it. Each of the three or four
HTTP steps of an answer may wait that long; Python's default is 5 ms.
"""
LAST = 8
"""Seconds for requests in progress when the server ends; less than `process.GRACE`."""


class Server(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, then answers the requests in progress."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As in uvicorn, but the process then ends by returning from `serve` instead of by the signal."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept the queued connections and answer them too. Closing the socket would reset them."""
        (listener,) = sockets or []
        accepted = []
        with listener.dup() as queue:
            self.servers[0].close()
            with suppress(OSError):  # the queue is empty
                while True:
                    accepted.append(queue.accept()[0])
        for each in accepted:
            await self._take(each)
        until = time.monotonic() + FIRST
        while time.monotonic() < until and any(map(_has_not_asked, self.server_state.connections)):
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    async def _take(self, accepted: socket.socket) -> None:
        """Serve a connection that was accepted."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: Connection(self.config, self.server_state, {}), accepted)


def _has_not_asked(connection: object) -> bool:
    return isinstance(connection, Connection) and connection.cycle is None


def serve(folder: Path) -> None:
    """Serve the deployment in `folder` until SIGTERM or SIGINT.

    Raises:
        AlreadyRunning: another process serves it.
        ModelError: as `ServedModel`, or the port is taken.
    """
    sys.setswitchinterval(SWITCH)
    with exclusive(folder / ALIVE, f"The deployment in {folder}"), ThreadPoolExecutor(1, "model") as worker:
        model = ServedModel(folder)
        with _listening(model.deployment.settings.port) as listener:
            config = uvicorn.Config(
                intake.app(model, worker),
                loop="asyncio",
                http=Connection,
                ws="none",
                lifespan="off",
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=IDLE,
                timeout_graceful_shutdown=LAST,
            )
            atomic_write.write_text(
                folder / SERVER, json.dumps({"pid": os.getpid(), "port": listener.getsockname()[1]})
            )
            Server(config).run([listener])


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """A socket that listens on the port.

    A successor can listen before this process stops, so an update leaves no gap.
    """
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:  # without `proto` asyncio leaves Nagle's algorithm on
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            listener.bind((LOOPBACK, port))
            listener.listen(BACKLOG)
        except OSError as error:
            raise ModelError(f"Cannot listen on port {port}: {error.strerror}.") from None
        yield listener


if __name__ == "__main__":
    with boundary():
        serve(Path(sys.argv[1]))
