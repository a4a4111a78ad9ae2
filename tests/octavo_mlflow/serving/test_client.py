"""The deployment target `octavo`: a process of its own that answers as measured, is replaced, crashes, and ends."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.deployments import get_deploy_client
from mlflow.exceptions import MlflowException

from octavo.backends import model_files
from octavo.backends.registry import open_model
from octavo_mlflow.serving import process as serving_process
from octavo_mlflow.serving.client import DeploymentError, OctavoDeployments
from tests import servers
from tests.octavo_mlflow.measured_project import Project

BYTES = np.random.default_rng(2).integers(0, 256, (5, 4, 4), np.uint8)
FLOATS = BYTES.astype(np.float32) / np.float32(255)
ONNX, LITERT = "onnx_fp32", "litert_int8_static"
VERSIONS = {ONNX: "models:/octavo/1", LITERT: "models:/octavo/2"}

pytestmark = pytest.mark.slow


@pytest.fixture
def client(registered: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OctavoDeployments]:
    """The target, over a registry with a version of each format, the second of them the champion."""
    monkeypatch.setenv("OCTAVO_DEPLOYMENTS", str(tmp_path / "deployments"))
    registered.client().set_registered_model_alias("octavo", "champion", "2")
    target = get_deploy_client("octavo")
    assert isinstance(target, OctavoDeployments)
    yield target
    for name in serving_process.names():
        target.delete_deployment(name)
    _wait_until_none_runs()


def _wait_until_none_runs() -> None:
    _wait_until_running(0)


def _wait_until_running(count: int) -> None:
    """A process that has answered its last request takes a moment to end."""
    for _ in range(1000):
        if len(_running()) == count:
            return
        time.sleep(0.01)
    pytest.fail(f"{count} should run, there are {_running()}")


def _running() -> list[str]:
    """Processes that serve something here."""
    root, found = str(serving_process.root()).encode(), []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"octavo_mlflow.serving.server" in words and any(word.startswith(root) for word in words):
            found.append(command.parent.name)
    return found


def logits(variant: str) -> np.ndarray:
    return open_model(model_files.path_of(variant))(FLOATS)


def predicted(client: OctavoDeployments, inputs: Any) -> np.ndarray:
    return np.array(client.predict("cam", inputs)["predictions"], np.float32)


def send(address: str, body: bytes, **headers: str) -> Any:
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"} | headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)["message"]


@pytest.mark.parametrize("variant", VERSIONS)
def test_it_answers_as_measured_however_it_is_asked(variant: str, client: OctavoDeployments) -> None:
    made = client.create_deployment("cam", VERSIONS[variant])
    assert (made["name"], made["flavor"], made["variant"]) == ("cam", variant.split("_", maxsplit=1)[0], variant)
    expected = logits(variant)
    frame = pd.DataFrame(BYTES.reshape(5, 16))
    for inputs in FLOATS, BYTES, FLOATS.tolist(), FLOATS.astype(np.float64), frame, {"inputs": FLOATS}:
        np.testing.assert_array_equal(predicted(client, inputs), expected)
    request = {"instances": BYTES.tolist(), "params": {"dtype": "uint8", "classes": True}}
    answer = client.predict("cam", request)
    np.testing.assert_array_equal(answer.get_predictions("ndarray", np.float32), expected)
    assert answer["classes"] == [str(best) for best in expected.argmax(1)]
    with urllib.request.urlopen(f"{made['address']}/health", timeout=5) as health:
        assert json.load(health)["version"] == VERSIONS[variant]


def test_logits_that_are_not_finite_are_refused(client: OctavoDeployments) -> None:
    made = client.create_deployment("cam", VERSIONS[ONNX])
    images = FLOATS.copy()
    images[2] = 3e38  # with weights of both signs: infinite, or infinite less infinite
    for classes in (False, True):
        request = {"inputs": images.tolist(), "params": {"dtype": "float32", "classes": classes}}
        code, message = send(made["address"], json.dumps(request).encode())
        assert code == 422
        assert message.startswith(f"{ONNX} gives logits that are NaN or infinite for 1 of 5 images")


def test_one_is_seen_by_all_until_it_is_deleted(client: OctavoDeployments, registered: Project) -> None:
    made = client.create_deployment("cam", "models:/octavo@champion", flavor="litert", config={"threads": "2"})
    assert (made["status"], made["version"], made["version_uri"]) == ("running", "2", "models:/octavo/2")
    assert made["sha256"] == registered.scorecards.card(LITERT).model.sha256
    assert client.get_deployment("cam") == made
    assert client.list_deployments() == [made]
    with pytest.raises(DeploymentError, match="There is a deployment cam already"):
        client.create_deployment("cam", "models:/octavo/1")
    client.delete_deployment("cam")
    client.delete_deployment("cam")
    assert client.list_deployments() == []
    with pytest.raises(MlflowException, match=r"no deployment cam\. There are: none"):
        client.get_deployment("cam")
    assert list(serving_process.root().glob("[!.]*")) == []


def test_an_update_takes_over_without_a_gap(client: OctavoDeployments, registered: Project) -> None:
    registered.client().set_registered_model_alias("octavo", "champion", "1")
    made = client.create_deployment("cam", "models:/octavo@champion")
    registered.client().set_registered_model_alias("octavo", "champion", "2")
    seen: list[str] = []
    resets: list[int] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            with suppress(URLError), urllib.request.urlopen(f"{made['address']}/health", timeout=5) as health:
                seen.append(json.load(health)["version"])
                continue
            resets.append(len(seen))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        updated = client.update_deployment("cam")
    finally:
        time.sleep(0.2)
        stop.set()
        watcher.join()
    assert (updated["address"], updated["version"]) == (made["address"], "2")
    assert updated["pid"] != made["pid"]
    assert len(resets) <= 1  # who comes between the last look at the queue and its end
    assert (seen[0], seen[-1]) == ("models:/octavo/1", "models:/octavo/2")
    np.testing.assert_array_equal(predicted(client, FLOATS), logits(LITERT))
    assert [path.name for path in (serving_process.root() / "cam").glob("*/")] == ["2"]
    _wait_until_running(1)


@pytest.mark.parametrize(
    ("uri", "config", "sentence"),
    [
        ("models:/octavo/9", {}, "version=9"),
        ("models:/octavo@nobody", {}, "nobody"),
        ("runs:/1/model", {}, r"models:/NAME/NUMBER or models:/NAME@ALIAS"),
        ("models:/octavo/2", {"port": "70000"}, r"port: .*It knows: port, threads"),
        ("models:/octavo/2", {"prot": "1"}, r"prot"),
    ],
)
def test_what_fails_leaves_nothing_behind_and_what_runs_alone(
    uri: str, config: dict[str, str], sentence: str, client: OctavoDeployments
) -> None:
    before = client.create_deployment("cam", "models:/octavo/1")
    with pytest.raises(DeploymentError, match=sentence):
        client.update_deployment("cam", uri, config=config)
    with pytest.raises(DeploymentError, match=sentence):
        client.create_deployment("other", uri, config=config)
    assert client.list_deployments() == [before]
    np.testing.assert_array_equal(predicted(client, FLOATS), logits(ONNX))
    assert len(_running()) == 1


def test_a_port_serves_one(client: OctavoDeployments) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(DeploymentError, match=f"Cannot listen on port {taken}: Address already in use"):
            client.create_deployment("cam", "models:/octavo/1", config={"port": taken})
    made = client.create_deployment("cam", "models:/octavo/1", config={"port": taken})
    assert made["address"] == f"http://127.0.0.1:{taken}"
    with pytest.raises(DeploymentError, match=f"Port {taken} serves another deployment"):
        client.create_deployment("other", "models:/octavo/2", config={"port": taken})
    assert client.update_deployment("cam", config={"port": 0})["address"] != made["address"]


def test_a_crash_is_seen_and_an_update_mends_it(client: OctavoDeployments) -> None:
    made = client.create_deployment("cam", "models:/octavo/1")
    os.kill(made["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while client.get_deployment("cam")["status"] == "running" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert client.get_deployment("cam")["status"] == "crashed"
    assert [each["status"] for each in client.list_deployments()] == ["crashed"]
    with pytest.raises(DeploymentError, match=r"cam does not answer at .*refused.*Update it"):
        client.predict("cam", FLOATS)
    mended = client.update_deployment("cam")
    assert (mended["status"], mended["address"]) == ("running", made["address"])
    np.testing.assert_array_equal(predicted(client, FLOATS), logits(ONNX))


def test_other_bytes_than_those_measured_are_never_served(client: OctavoDeployments, registered: Project) -> None:
    made = client.create_deployment("cam", "models:/octavo/1")
    model = Path(made["folder"], "model.onnx")
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(Exception, match="is not the registered model"):
        serving_process.start(_copy(Path(made["folder"]), registered.folder / "again"))
    stored = Path(registered.client().get_model_version_download_uri("octavo", "2").removeprefix("file://"))
    (stored / "data/model.tflite").write_bytes(model_files.path_of(LITERT).read_bytes() + b"\0")
    with pytest.raises(DeploymentError, match="is not the model that was measured"):
        client.update_deployment("cam", "models:/octavo/2")
    registered.client().delete_model_version_tag("octavo", "2", "model.sha256")
    with pytest.raises(DeploymentError, match=r"has no tag model\.sha256: Octavo did not register it"):
        client.update_deployment("cam", "models:/octavo/2")


def _copy(folder: Path, target: Path) -> Path:
    """A generation that nobody serves yet."""
    target.mkdir()
    for name in "deployment.json", "model.onnx":
        (target / name).write_bytes((folder / name).read_bytes())
    return target


def test_requests_that_are_none_get_a_status_and_a_sentence(client: OctavoDeployments) -> None:
    address = client.create_deployment("cam", "models:/octavo/1")["address"]
    body = json.dumps({"inputs": FLOATS.tolist()}).encode()
    assert send(address, body)["predictions"] == logits(ONNX).tolist()
    for wrong, headers, status, sentence in (
        (b"{", {}, 400, "The request cannot be read as JSON"),
        (b"[1]", {}, 400, "A request is"),
        (b'{"inputs": [[1.0]], "instances": []}', {}, 400, "A request is"),
        (b'{"inputs": [[1.0]]}', {}, 400, "This model takes images of shape"),
        (b'{"inputs": [["a"]]}', {}, 400, "Images are arrays of numbers"),
        (json.dumps({"inputs": BYTES.tolist()}).encode(), {}, 400, "pixels in 0..255, or values?"),
        (json.dumps({"inputs": [], "params": {"dtyp": 1}}).encode(), {}, 400, "Known params: classes, dtype"),
        (body, {"Content-Type": "text/plain"}, 415, "Send application/json"),
        (body, {"Host": "evil.example.org"}, 403, "Ask for 127.0.0.1"),
        (body, {"Content-Length": str(2**40)}, 413, "At most"),
    ):
        got = send(address, wrong, **headers)
        assert got[0] == status
        assert sentence in got[1]
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=5)
    connection.request("GET", "/etc/passwd")
    assert connection.getresponse().status == 404
    assert send(address, body)["predictions"] == logits(ONNX).tolist()


@pytest.mark.parametrize("name", ["../cam", "", ".", ".hidden", "a/b", "x" * 65])
def test_a_name_is_no_path(name: str, client: OctavoDeployments) -> None:
    for question in client.get_deployment, client.delete_deployment, client.predict:
        with pytest.raises(DeploymentError, match="cannot name a deployment"):
            question(name)
    with pytest.raises(DeploymentError, match="cannot name a deployment"):
        client.create_deployment(name, "models:/octavo/1")


def test_two_do_not_change_one_at_the_same_time(client: OctavoDeployments) -> None:
    with (
        serving_process.changing("cam"),
        pytest.raises(DeploymentError, match="A change of the deployment cam runs already"),
    ):
        client.create_deployment("cam", "models:/octavo/1")


def test_what_a_killed_client_left_goes_with_the_next_create(client: OctavoDeployments) -> None:
    made = client.create_deployment("cam", "models:/octavo/1")
    (serving_process.root() / "cam/current").unlink()
    assert client.list_deployments() == []
    again = client.create_deployment("cam", "models:/octavo/2")
    assert again["pid"] != made["pid"]
    assert len(_running()) == 1


def test_mlflows_command_line_deploys_what_outlives_it(client: OctavoDeployments) -> None:
    environment = os.environ | {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mlflow", "deployments", *arguments, "-t", "octavo"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    created = run("create", "-m", "models:/octavo@champion", "--name", "cam")
    assert "litert deployment cam is created" in created.stdout
    assert client.get_deployment("cam")["status"] == "running"
    Path("images.json").write_text(json.dumps({"inputs": BYTES.tolist(), "dtype": "uint8", "classes": True}))
    answer = json.loads(run("predict", "--name", "cam", "-I", "images.json").stdout)
    np.testing.assert_array_equal(np.array(answer["predictions"], np.float32), logits(LITERT))
    assert answer["classes"] == [str(best) for best in logits(LITERT).argmax(1)]
    refused = run("create", "-m", "models:/octavo/1", "--name", "cam")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("Error: There is a deployment cam already.")
    assert "Traceback" not in refused.stderr


def test_run_local_serves_until_it_is_interrupted(client: OctavoDeployments) -> None:
    port = servers.free_port()
    script = (
        "import mlflow, mlflow.deployments\n"
        f"mlflow.set_tracking_uri({mlflow.get_tracking_uri()!r})\n"
        f"mlflow.deployments.run_local('octavo', 'here', 'models:/octavo/1', config={{'port': {port}}})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    try:
        servers._await(process, Path("params.yaml"), lambda: servers._answers(f"http://127.0.0.1:{port}/health"))
        answer = send(f"http://127.0.0.1:{port}", json.dumps({"inputs": FLOATS.tolist()}).encode())
        assert answer["predictions"] == logits(ONNX).tolist()
        assert client.list_deployments() == []
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
