import base64
import http.client
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mlflow import MlflowClient

from octavo.project.errors import ServiceUnavailable
from octavo_mlflow.registry.mutex import lease, mutex
from tests import servers
from tests.octavo_mlflow import contenders
from tests.octavo_mlflow.contenders import left
from tests.octavo_mlflow.measured_project import Later

pytestmark = pytest.mark.slow


@pytest.fixture
def forgetful(server_sqlite: str) -> Iterator[str]:
    """The address of a proxy that passes everything on, and loses the first answer to each kind of change."""
    upstream, lost = urlsplit(server_sqlite).netloc, set()

    class Proxy(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(upstream)
            connection.request(self.command, self.path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            self.close_connection = True
            if self.command != "GET" and self.path not in lost:
                lost.add(self.path)
                return
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_port}"
        proxy.shutdown()
    assert {path.rpartition("/")[2] for path in lost} == {"create", "rename", "set-tag", "delete"}


def test_answers_that_get_lost_do_no_harm(
    forgetful: str, name: str, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    client = MlflowClient(forgetful)
    with mutex.held(client, name, "promote") as still_held:
        later(lease.LEASE * 0.6)
        still_held()
    assert left(client, name) == []


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Callable[[str], None]]]:
    """The address of a server that asks who one is, and how to be somebody: anna and ben have no special rights."""
    password = "neither secret nor short"  # noqa: S105 - of a server that lives for one test

    def be(user: str) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)

    settings = {
        "default_permission": "READ",
        "database_uri": f"sqlite:///{tmp_path}/users.db",
        "admin_username": "admin",
        "admin_password": password,
        "auth_cache_ttl_seconds": "600",
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    config = tmp_path / "auth.ini"
    config.write_text("\n".join(["[mlflow]", *(f"{name} = {value}" for name, value in settings.items())]))
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(config))
    monkeypatch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "of a server that lives for one test")
    with servers.tracking(f"sqlite:///{tmp_path}/mlflow.db", tmp_path, "--app-name", "basic-auth") as address:
        for user in ("anna", "ben"):
            _create_user(address, user, password)
        yield address, be


def _create_user(address: str, user: str, password: str) -> None:
    """As the administrator, who has the same password; MLflow's own client would load its whole server."""
    content = json.dumps({"username": user, "password": password}).encode()
    credentials = base64.b64encode(f"admin:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/api/2.0/mlflow/users/create", content, headers)
    urllib.request.urlopen(request, timeout=30).close()


def test_a_lock_of_another_user_gets_a_sentence(guarded: tuple[str, Callable[[str], None]], name: str) -> None:
    address, be = guarded
    client = MlflowClient(address)
    be("anna")
    with mutex.held(client, name, "promote"):
        be("ben")
        with pytest.raises(mutex.Busy, match="for promote, since 20"):
            mutex.held(client, name, "promote").__enter__()
        be("anna")
    assert left(client, name) == []
    be("ben")
    with mutex.held(client, name, "promote") as still_held:
        still_held()
    contenders.leave_behind(client, name)
    be("anna")
    with pytest.raises(ServiceUnavailable, match=f"MLflow denies access to the registered model {name}.lock, which"):
        mutex.held(client, name, "promote").__enter__()
    be("ben")
    with mutex.held(client, name, "promote") as still_held:
        still_held()
