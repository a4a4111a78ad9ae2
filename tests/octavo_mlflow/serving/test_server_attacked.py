"""The scoring process, by HTTP: whatever is sent to it gets an answer in words, and it goes on, within its memory."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octavo.backends import model_files
from octavo.backends.registry import open_model
from octavo_mlflow.serving.record import SERVER, Deployment, Settings, save
from tests.octavo_mlflow.measured_project import onnx_bytes

IMAGES = np.random.default_rng(5).random((3, 4, 4)).astype(np.float32)
GOOD = json.dumps({"inputs": IMAGES.tolist()}).encode()
MARK = "31415926"
"""Stands in every payload, and in no answer."""
LARGEST, VALUES = 2**26, 2**21
MEMORY = 700
"""MiB that the process has at most at any time."""


def record(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(onnx_bytes())
    save(
        Deployment(
            name="cam",
            model_uri="models:/cam/1",
            version="models:/cam/1",
            variant="onnx_fp32",
            flavor="onnx",
            file=path.name,
            sha256=model_files.sha256(path),
            dtype="float32",
            shape=(-1, 4, 4),
            classes=[],
            settings=Settings(),
        ),
        folder,
    )


@contextmanager
def serving(folder: Path, limits: str = "") -> Iterator["Served"]:
    """A process that serves from `folder`; `limits` is code that makes limits small, or waits."""
    record(folder)
    code = "\n".join(
        ["import pathlib", "from octavo_mlflow.serving import server", limits, "server.serve(pathlib.Path('.'))"]
    )
    command = ["-c", code] if limits else ["-m", "octavo_mlflow.serving.server", "."]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not (folder / SERVER).exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield Served(process, json.loads((folder / SERVER).read_bytes())["port"], folder)
    finally:
        process.kill()
        process.wait()


class Served:
    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.process, self.port, self.folder = process, port, folder

    def connection(self, timeout: float = 60) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def socket(self, sent: bytes, timeout: float = 10) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout)
        made.sendall(sent)
        return made

    def raw(self, sent: bytes, timeout: float = 10) -> tuple[int, str]:
        """Status and body of the answer to these very bytes."""
        with self.socket(sent, timeout) as made:
            answer = http.client.HTTPResponse(made)
            answer.begin()
            return answer.status, answer.read().decode()

    def post(self, body: bytes, timeout: float = 60) -> tuple[int, str]:
        return posted(self.connection(timeout), body)

    def peak(self) -> int:
        """MiB of memory that the process had at most so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        (peak,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        return peak // 1024


def posted(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, str]:
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def head(length: str, more: str = "") -> bytes:
    return (
        f"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}"
        f"Content-Length: {length}\r\n\r\n"
    ).encode("latin-1")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture(scope="module")
def logits(served: Served) -> np.ndarray:
    return open_model(served.folder / "model.onnx")(IMAGES)


def said(status: int, answer: str) -> str:
    """The one sentence of a refusal."""
    assert 400 <= status < 500, (status, answer)
    sentence = json.loads(answer)["message"] if answer.startswith("{") else answer
    assert isinstance(sentence, str)
    assert 10 < len(sentence) < 200
    assert sentence.endswith(".")
    assert "Traceback" not in answer
    assert MARK not in answer
    return sentence


def lives_on(served: Served, logits: np.ndarray) -> None:
    status, answer = served.post(GOOD, timeout=10)
    assert status == 200
    np.testing.assert_array_equal(np.array(json.loads(answer)["predictions"], np.float32), logits)
    assert served.process.poll() is None


ATTACKS = {
    "nested lists": (b"[" * 100_000 + b"]" * 100_000, "nested more than 200 deep"),
    "nested images": (b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested more than 200 deep"),
    "nested objects": (b'{"":' * 100_000, "without strings"),
    "nested as deep as is read": (b'{"inputs": ' + b"[" * 190 + b"0" + b"]" * 190 + b"}", "64"),
    "NaN": (b'{"inputs": [[NaN%s]]}' % (b", 0" * 15), "neither NaN nor Infinity"),
    "Infinity": (b'{"inputs": [[-Infinity%s]]}' % (b", 0" * 15), "neither NaN nor Infinity"),
    "infinite": (b'{"inputs": [[1e999%s]]}' % (b", 0" * 15), "NaN or infinite for 1 of 1 images"),
    "infinite as float32": (b'{"inputs": [[1e39%s]]}' % (b", 0" * 15), "NaN or infinite for 1 of 1 images"),
    "NaN out": (b'{"inputs": [[%s]]}' % b", ".join([b"3e38"] * 16), "gives logits that are NaN or infinite"),
    "wrong shape": (b'{"inputs": [[[1, 2], [3, 31415926.5]]]}', "images of shape"),
    "ragged": (b'{"inputs": [[1], [2, 31415926]]}', "inhomogeneous"),
    "no list": (b'{"inputs": 31415926.0}', "images of shape"),
    "a string": (b'{"inputs": "31415926"}', "Images are arrays of numbers"),
    "strings": (b'{"inputs": [["31415926"]]}', "without strings"),
    "nothing": (b'{"inputs": null}', "Images are arrays of numbers"),
    "truths": (b'{"inputs": [[true]]}', "Images are arrays of numbers"),
    "objects": (b'{"inputs": [{}, {}]}', "Images are arrays of numbers"),
    "two tensors": (b'{"inputs": {"%s31415926": [], "b": []}}' % (b"a" * 20_000), "one tensor, got 2"),
    "a name twice": (b'{"inputs": [[0]], "inputs": [[31415926]]}', "each name occurs once"),
    "a name twice, escaped": (b'{"inputs": [[0]], "\\u0069nputs": [[31415926]]}', "each name occurs once"),
    "params": (b'{"inputs": [[0]], "params": {"31415926": 1}}', "Known params"),
    "no params": (b'{"inputs": [[0]], "params": [31415926]}', "Known params"),
    "dtype": (b'{"inputs": [[0]], "params": {"dtype": "%s"}}' % (b"31415926" * 1000), "dtype is one of"),
    "dtype of lists": (b'{"inputs": [[0]], "params": {"dtype": [[31415926]]}}', "dtype is one of"),
    "classes": (b'{"inputs": [[0]], "params": {"classes": "31415926"}}', "classes is one of"),
    "a number of 5,000 digits": (b'{"inputs": [[%s]]}' % (b"31415926" * 625), "cannot be read as JSON"),
    "not UTF-8": (b'{"inputs\xff31415926": [[0]]}', "cannot be read as JSON"),
    "UTF-16": ("{}".encode("utf-16"), "cannot be read as JSON"),
    "empty": (b"", "cannot be read as JSON"),
    "cut off": (GOOD[:-9], "cannot be read as JSON"),
    "binary": (bytes(range(256)) * 9, "cannot be read as JSON"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_no_request_gets_a_sentence(attack: str, served: Served, logits: np.ndarray) -> None:
    body, words = ATTACKS[attack]
    assert words in said(*served.post(body, timeout=10))
    lives_on(served, logits)


@pytest.mark.parametrize("length", ["²", "Â²", "1_0", "1" * 5000, "-1", "1e3", "0x10", "", "1, 2"])
def test_a_length_that_is_none_gets_a_sentence(length: str, served: Served, logits: np.ndarray) -> None:
    said(*served.raw(head(length) + b"{}"))
    lives_on(served, logits)


@pytest.mark.parametrize("length", [LARGEST + 1, 2**40, 10**19])
def test_a_length_that_is_too_large_gets_a_sentence(length: int, served: Served, logits: np.ndarray) -> None:
    status, answer = served.raw(head(str(length)) + b"{}")
    assert (status, said(status, answer)) == (413, "At most 67,108,864 bytes; send fewer images.")
    lives_on(served, logits)


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_is_refused_when_it_was_sent(
    declared: bool, served: Served, logits: np.ndarray
) -> None:
    """Most clients listen only then, also those who do not keep the connection."""
    body = b"3" * (LARGEST + 2**20)
    connection = served.connection()
    headers = {"Content-Type": "application/json", "Connection": "close"}
    connection.request("POST", "/invocations", body if declared else iter([body]), headers, encode_chunked=not declared)
    answer = connection.getresponse()
    assert answer.status == 413
    assert said(answer.status, answer.read().decode()).startswith("At most")
    lives_on(served, logits)


@pytest.mark.slow
def test_health_answers_within_a_second_and_memory_is_bounded_whatever_comes(
    served: Served, logits: np.ndarray
) -> None:
    lists = b",".join([b"[]"] * (VALUES // 2 - 10))
    bodies = {
        "as many bytes as allowed": b'{"inputs":[%s]}' % b",".join([b"0.%b" % (b"7" * 29)] * (LARGEST // 32 - 9)),
        "as many lists": b'{"inputs":[%s]}' % lists,
        "more numbers": b"[%s]" % b",".join([b"1"] * (LARGEST // 2 - 2)),
        "one string": b'{"inputs":"%s"}' % ("\U0001f600".encode() * (LARGEST // 4 - 4)),
        "white space": b'{"inputs":[0]%s}' % (b" " * (LARGEST - 14)),
    }
    for _ in range(2):
        for name, body in bodies.items():
            found: list[tuple[int, str]] = []
            senders = [threading.Thread(target=lambda: found.append(served.post(body))) for _ in range(3)]  # noqa: B023
            for sender in senders:
                sender.start()
            waits = []
            while any(sender.is_alive() for sender in senders):
                start = time.monotonic()
                connection = served.connection()
                connection.request("GET", "/health")
                assert connection.getresponse().status == 200
                waits.append(time.monotonic() - start)
                time.sleep(0.02)
            assert max(waits) < 1, name
            assert {status for status, _ in found} <= {400, 413, 503}, (name, found)
            assert len(found) == len(senders)
            assert served.peak() < MEMORY, name
    lives_on(served, logits)


def test_grey_images_may_have_their_one_channel(served: Served, logits: np.ndarray) -> None:
    for images in IMAGES[..., np.newaxis], IMAGES.reshape(3, 16):
        status, answer = served.post(json.dumps({"inputs": images.tolist()}).encode())
        assert status == 200, answer
        np.testing.assert_array_equal(np.array(json.loads(answer)["predictions"], np.float32), logits)


def test_an_image_may_be_larger_than_all_images_together_otherwise(tmp_path: Path) -> None:
    with serving(tmp_path, "import octavo_mlflow.serving.answers as a; a.VALUES = 8") as served:
        assert served.post(json.dumps({"inputs": IMAGES[:1, ..., np.newaxis].tolist()}).encode())[0] == 200
        status, answer = served.post(GOOD)
        assert (status, said(status, answer)) == (413, "A request holds at most 48 numbers; send fewer images.")


def test_more_images_than_a_batch_are_answered_in_their_order(served: Served) -> None:
    images = np.random.default_rng(6).random((600, 4, 4)).astype(np.float32)
    status, answer = served.post(json.dumps({"inputs": images.tolist()}).encode())
    assert status == 200
    expected = open_model(served.folder / "model.onnx")(images)
    np.testing.assert_allclose(json.loads(answer)["predictions"], expected, rtol=1e-5, atol=1e-5)


def test_a_connection_is_kept_and_answers_come_at_once(served: Served) -> None:
    """Without Nagle's algorithm, which keeps the second part of an answer for 40 ms."""
    connection = served.connection()
    connection.connect()
    first, waits = connection.sock, []
    for body in [GOOD, b"{"] * 15:
        start = time.monotonic()
        posted(connection, body)
        waits.append(time.monotonic() - start)
        assert connection.sock is first
    assert np.median(waits) < 0.03


def test_health_answers_while_the_model_runs(tmp_path: Path) -> None:
    slow = "import time\nserver.ServedModel.answer = lambda *_: time.sleep(2) or {}"
    with serving(tmp_path, slow) as served:
        asking = threading.Thread(target=served.post, args=(GOOD,))
        asking.start()
        time.sleep(0.3)
        connection = served.connection(timeout=1)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        assert asking.is_alive()
        asking.join()


def test_two_hundred_clients_at_once_are_all_answered(served: Served) -> None:
    found: list[Any] = []
    together = threading.Barrier(200)

    def ask() -> None:
        connection = served.connection(timeout=10)
        together.wait()
        try:
            found.extend(posted(connection, GOOD)[0] for _ in range(3))
        except OSError as error:
            found.append(error)

    clients = [threading.Thread(target=ask) for _ in range(200)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert found == [200] * 600


SLOW_TO_END = """
import time
shutdown = server.Server.shutdown
async def slow(self, sockets=None):
    pathlib.Path("ending").touch()
    time.sleep(1)
    await shutdown(self, sockets)
server.Server.shutdown = slow
"""


def test_who_comes_while_it_ends_is_answered(tmp_path: Path) -> None:
    """Those who wait to be accepted, and those who have not asked yet; a kept connection does not hold it up."""
    with serving(tmp_path, SLOW_TO_END) as served:
        kept = served.connection()
        posted(kept, GOOD)
        served.process.send_signal(signal.SIGTERM)
        while not (tmp_path / "ending").exists():
            time.sleep(0.01)
        asked = [served.socket(head(str(len(GOOD))) + GOOD, 20) for _ in range(20)]
        late = served.socket(b"", 20)
        time.sleep(1)
        late.sendall(head(str(len(GOOD))) + GOOD)
        for each in (*asked, late):
            with each:
                answer = http.client.HTTPResponse(each)
                answer.begin()
                assert answer.status == 200
                assert len(json.loads(answer.read())["predictions"]) == 3
        assert served.process.wait(5) == 0
        assert (tmp_path / "log").read_text() == ""


def test_who_does_not_finish_a_request_is_told_and_let_go(tmp_path: Path) -> None:
    with serving(
        tmp_path,
        "import octavo_mlflow.serving.connection as c; server.IDLE = c.IDLE = 0.5; server.intake.PATIENCE = 0.5",
    ) as served:
        status, answer = served.raw(head("1000") + b'{"inputs"')
        assert status == 408, answer
        said(status, answer)
        for sent in b"", b"POST /invocations HTTP/1.1\r\nHo", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n":
            with served.socket(sent) as idle:
                while idle.recv(2**16):
                    pass  # until it is closed from there
        assert served.post(GOOD)[0] == 200


def test_broken_http_is_answered_once_and_leaves_no_traceback(tmp_path: Path) -> None:
    head = "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(tmp_path, "server.intake.IMPATIENCE = 0.2") as served:
        for asked in ("/invocations", "localhost"), ("/invocations", "evil.example.org"), ("/nothing", "localhost"):
            start = head.format(*asked).encode()
            assert said(*served.raw(start + b"no number\r\n")) == "Invalid HTTP request received."
            with served.socket(start) as made:
                time.sleep(0.5)  # the last two are answered before they break off
                made.sendall(b"no number\r\n")
                assert b"HTTP/1.1 40" in made.recv(2**16)
        assert served.post(GOOD)[0] == 200
        assert (tmp_path / "log").read_text() == ""


def test_more_requests_than_it_has_room_for_are_told_so(tmp_path: Path) -> None:
    with serving(tmp_path, "server.intake.WAITING = 2; server.intake.HELD = 5000") as served:
        begun = [served.socket(head("1000") + b'{"inputs"') for _ in range(2)]
        time.sleep(0.2)
        status, answer = served.post(GOOD)
        assert status == 503
        assert "try again" in json.loads(answer)["message"]
        connection = served.connection()
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        for each in begun:
            each.close()
        time.sleep(0.2)
        assert served.post(GOOD)[0] == 200
        assert served.post(b" " * 6000)[0] == 503
        assert served.post(GOOD)[0] == 200
        assert (tmp_path / "log").read_text() == ""
