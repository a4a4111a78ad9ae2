"""One model behind HTTP on loopback, in the format of MLflow's scoring servers, with the standard library alone.

Run by `mlflow_plugins.deployed` as `python -m mlflow_plugins.scoring FOLDER`. It does without MLflow, so that it starts
in a moment and stays small. POST /invocations takes {"inputs": …, "params": {"dtype": "uint8", "classes": true}} and
answers {"predictions": logits, "classes": …}; GET /health says what runs here.
"""

import json
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from mlflow_plugins.deployment import ALIVE, LOOPBACK, SERVER, Deployment, load
from mlflow_plugins.images import Input
from pipeline import files, model_files
from pipeline.errors import ModelError, OctavoError, boundary
from pipeline.exclusive import exclusive
from pipeline.logits import NotFinite, check
from pipeline.runtimes import open_model
from pipeline.runtimes.predictor import Predictor

HOSTS = (LOOPBACK, "localhost")
LARGEST = 2**26
"""Bytes of a request."""
PARAMS = {"dtype", "classes"}


class Refused(OctavoError):
    """A request that cannot be answered."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Model:
    """The deployed model, one call at a time: its threads are all that it was given."""

    def __init__(self, folder: Path) -> None:
        """Open the model in `folder`.

        Raises:
            ModelError: its bytes are not those that were registered, or it cannot be opened.
        """
        self.deployment: Deployment = load(folder)
        path = folder / self.deployment.file
        got = model_files.sha256(path)
        if got != self.deployment.sha256:
            raise ModelError(f"{path} is not the registered model: its sha256 is {got}, not {self.deployment.sha256}.")
        self._predict: Predictor = open_model(path, self.deployment.settings.threads)
        integers = self._predict.quantization
        scale, zero = (integers.scale, integers.zero) if integers else (0.0, 0)
        self._takes = Input(np.dtype(self.deployment.dtype), self.deployment.shape, scale, zero)
        self._turn = threading.Lock()
        self._predict.run(np.zeros([max(size, 1) for size in self._takes.shape], self._takes.dtype))

    def answer(self, request: Any) -> dict[str, Any]:
        """What to answer to a request.

        Raises:
            Refused: it is none.
        """
        if not isinstance(request, dict) or len({"inputs", "instances"} & set(request)) != 1:
            raise Refused(HTTPStatus.BAD_REQUEST, 'A request is {"inputs": images, "params": {…}}.')
        params = request.get("params") or {}
        if not isinstance(params, dict) or set(params) - PARAMS:
            raise Refused(HTTPStatus.BAD_REQUEST, f"Known params: {', '.join(sorted(PARAMS))}.")
        try:
            images = self._takes.take(request.get("inputs", request.get("instances")), params.get("dtype"))
            with self._turn:
                logits = self._predict.run(images)
        except (ValueError, RuntimeError, OverflowError, InvalidArgument) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from None
        try:
            check(logits, self.deployment.variant)
        except NotFinite as error:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        answer: dict[str, Any] = {"predictions": logits.tolist()}
        if params.get("classes"):
            names = self.deployment.classes
            answer["classes"] = [names[best] if names else best for best in logits.argmax(1).tolist()]
        return answer


class Server(ThreadingHTTPServer):
    """Serves `model`; waits for answers that are on their way when it is closed."""

    daemon_threads = False

    def __init__(self, model: Model) -> None:
        self.model = model
        super().__init__((LOOPBACK, model.deployment.settings.port), Handler)

    def server_bind(self) -> None:
        """Let a successor listen before this one stops, so that an update leaves no gap."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def server_close(self) -> None:
        """Answer those who are in the queue, too; closing would reset their connections."""
        self.socket.setblocking(False)
        with suppress(OSError):  # nobody waits any more
            while True:
                self.process_request(*self.socket.accept())
        super().server_close()


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 30

    def do_GET(self) -> None:
        self._reply(self._health)

    def do_POST(self) -> None:
        self._reply(self._invocations)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the standard library
        """Requests are not logged: a camera asks all day."""

    def _reply(self, what: Any) -> None:
        try:
            self._check_host()
            status, content = HTTPStatus.OK, what()
        except Refused as error:
            status, content = error.status, {"error_code": error.status.name, "message": str(error)}
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _check_host(self) -> None:
        """Let no page in a browser reach us under a name of its own."""
        if self.headers.get("Host", "").partition(":")[0] not in HOSTS:
            raise Refused(HTTPStatus.FORBIDDEN, f"Ask for {' or '.join(HOSTS)}.")

    def _health(self) -> dict[str, Any]:
        if self.path not in ("/health", "/ping"):
            raise Refused(HTTPStatus.NOT_FOUND, "There are GET /health and POST /invocations.")
        return self.server.model.deployment.model_dump(mode="json", include={"name", "version", "variant", "sha256"})

    def _invocations(self) -> dict[str, Any]:
        if self.path != "/invocations":
            raise Refused(HTTPStatus.NOT_FOUND, "There are GET /health and POST /invocations.")
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json.")
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Send Content-Length.")
        if int(length) > LARGEST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {LARGEST} bytes; send fewer images.")
        try:
            request = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, f"This is no JSON: {error}.") from None
        return self.server.model.answer(request)


def serve(folder: Path) -> None:
    """Serve the deployment in `folder` until SIGTERM or SIGINT.

    Raises:
        Busy: another process does.
        ModelError: as `Model`, or the port is taken.
    """
    with exclusive(folder / ALIVE, f"The deployment in {folder}"):
        model = Model(folder)
        try:
            server = Server(model)
        except OSError as error:
            raise ModelError(f"Cannot listen on port {model.deployment.settings.port}: {error.strerror}.") from None
        for number in signal.SIGTERM, signal.SIGINT:
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        with server:
            files.write_text(folder / SERVER, json.dumps({"pid": os.getpid(), "port": server.server_port}))
            server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    with boundary():
        serve(Path(sys.argv[1]))
