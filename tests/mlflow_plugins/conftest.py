"""A project that has been measured: small real models of both formats, and scorecards over them."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import flatbuffers
import mlflow
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as tflite
from onnx import helper, numpy_helper

from mlflow_plugins.register import Registration, register
from pipeline import layout
from pipeline.params import Params, load_params
from pipeline.scorecard import ModelFile, Scorecard, Scorecards

ROOT = Path(__file__).parents[2]
WEIGHTS = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
Serve = Callable[[list[str], str], str]


def onnx_bytes(note: str = "") -> bytes:
    """Logits of 4×4 images, as ONNX; `note` makes it another file."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["images"], ["flat"]), helper.make_node("MatMul", ["flat", "weights"], ["logits"])],
        "net",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["batch", 4, 4])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(WEIGHTS.T, "weights")],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)], doc_string=note)
    return bytes(model.SerializeToString())


def tflite_bytes() -> bytes:
    """The same network as a LiteRT file, written table by table."""

    def tensor(name: str, shape: list[int], signature: list[int], buffer: int) -> tflite.TensorT:
        made = tflite.TensorT()
        made.name, made.shape, made.shapeSignature, made.buffer = name, shape, signature, buffer
        made.type = tflite.TensorType.FLOAT32
        return made

    weights = tflite.BufferT()
    weights.data = np.frombuffer(WEIGHTS.tobytes(), np.uint8)
    dense = tflite.OperatorT()
    dense.inputs, dense.outputs = [0, 1, -1], [2]
    dense.builtinOptionsType, dense.builtinOptions = (
        tflite.BuiltinOptions.FullyConnectedOptions,
        tflite.FullyConnectedOptionsT(),
    )
    code = tflite.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = tflite.BuiltinOperator.FULLY_CONNECTED
    graph = tflite.SubGraphT()
    graph.tensors = [
        tensor("images", [1, 4, 4], [-1, 4, 4], 0),
        tensor("weights", [3, 16], [3, 16], 1),
        tensor("logits", [1, 3], [-1, 3], 0),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [2], [dense]
    model = tflite.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [tflite.BufferT(), weights]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@dataclass
class Project:
    """A project's folder, which is also the working directory."""

    folder: Path
    params: Params
    scorecards: Scorecards

    def register(self) -> Registration:
        return register(self.scorecards, self.params)

    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient()

    def change(self, variant: str, **fields: object) -> None:
        """Replace fields of one scorecard."""
        cards = [card.model_copy(update=fields if card.variant == variant else {}) for card in self.scorecards.scorecards]
        self.scorecards = self.scorecards.model_copy(update={"scorecards": cards})
        self.write()

    def write(self, verdicts: dict[str, str] | None = None) -> None:
        """Write `reports/` as the stage `report` does; a variant passes unless `verdicts` says otherwise."""
        layout.REPORTS.mkdir(exist_ok=True)
        layout.SCORECARDS.write_text(self.scorecards.model_dump_json(by_alias=True))
        reasons = [{"rule": "accuracy", "value": -0.02, "limit": -0.01, "code": "accuracy.drop"}]
        found = [(card.variant, (verdicts or {}).get(card.variant, "pass")) for card in self.scorecards.scorecards]
        decision = {
            "winner": None,
            "policy": {},
            "verdicts": [
                {"variant": name, "verdict": verdict, "reasons": [] if verdict == "pass" else reasons}
                for name, verdict in found
            ],
        }
        layout.DECISION.write_text(json.dumps(decision))


def measured(variant: str, content: bytes, accuracy: float) -> Scorecard:
    """Write the variant's model file, and its scorecard."""
    path = layout.model(variant)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    kind, precision, *method = variant.split("_")
    latency = {"n": 300, "p50_us": 10 * accuracy, "p90_us": 12.0, "p99_us": 15.0, "ratio": 0.9, "ratio_ci95": (0.8, 1.0)}
    return Scorecard.model_validate(
        {
            "variant": variant,
            "source": "fp32",
            "recipe": "onnx",
            "format": kind,
            "precision": precision,
            "method": "_".join(method) or None,
            "model": ModelFile(path=str(path), sha256=hashlib.sha256(content).hexdigest()),
            "quality": {
                "top1": accuracy,
                "n": 300,
                "ci95": (0.9, 1.0),
                "per_class_recall": [1.0, 0.9, 0.9],
                "confusion": [[100, 0, 0], [5, 90, 5], [5, 5, 90]],
                "vs_baseline": {"delta": -0.001, "ci": (-0.002, 0.0), "broke": 1, "fixed": 0, "agreement": 0.998},
            },
            "size": {"file_bytes": len(content), "weight_bytes": WEIGHTS.nbytes, "ratio": 0.5, "floor_ratio": 1.1},
            "latency": {"threads": 1, "batches": {"1": latency, "64": {**latency, "p50_us": 99.0}}},
            "proof": {"integer_weight_share": 1.0, "integer_compute_share": 1.0, "float_nodes": []},
            "lineage": {"git": "c0ffee", "dvc_lock": None, "data": "d" * 64, "params": "p" * 64},
        }
    )


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database without runs: making its tables takes MLflow longer than most tests."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Callable[..., Project]:
    """Make a project of the variants named, or of all in params.yaml, and go there."""

    def make(*variants: str) -> Project:
        folder = tmp_path / "project"
        folder.mkdir()
        monkeypatch.chdir(folder)
        shutil.copy(ROOT / "params.yaml", folder)
        shutil.copy(empty_store, folder)
        params = load_params()
        cards = [
            measured(name, onnx_bytes(name) if name.startswith("onnx") else tflite_bytes(), 0.99 - place / 100)
            for place, name in enumerate(variants or params.variants)
        ]
        project = Project(
            folder,
            params,
            Scorecards(pipeline="repro-1", machine={"cpu": "test"}, data={"source": "digits"}, scorecards=cards),
        )
        project.write()
        return project

    return make


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    """One variant of each format."""
    return make_project("onnx_fp32", "litert_int8_static")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a server on a free port of loopback, wait until `page` answers, and stop it after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(arguments: list[str], page: str) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = tmp_path / f"server-{port}.log"
        command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "--port", str(port)]
        environment = os.environ | {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # MLflow starts uvicorn by name
        }
        with log.open("wb") as output:
            started.append(
                subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, env=environment)
            )
        address = f"http://127.0.0.1:{port}"
        for _ in range(240):
            if started[-1].poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{address}{page}", timeout=2).close()
            except OSError:
                time.sleep(0.25)
            else:
                return address
        pytest.fail(f"no answer from {' '.join(command)}:\n{log.read_text()[-3000:]}")

    yield start
    for process in started:
        os.killpg(process.pid, 15)
        process.wait(30)
