"""A project that has been measured: small real models of both formats, and scorecards over them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as tflite
from mlflow import MlflowClient
from onnx import helper, numpy_helper

from mlflow_plugins.register import Registration, register
from pipeline import layout
from pipeline.decision import Decision, Reason
from pipeline.params import Params
from pipeline.scorecard import ModelFile, Scorecard, Scorecards

WEIGHTS = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)


def onnx_bytes(note: str = "") -> bytes:
    """Logits of 4×4 images, as ONNX; `note` makes it another file."""
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
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

    def client(self) -> MlflowClient:
        return MlflowClient()

    def change(self, variant: str, **fields: object) -> None:
        """Replace fields of one scorecard."""
        cards = self.scorecards.scorecards
        cards = [card.model_copy(update=fields) if card.variant == variant else card for card in cards]
        self.scorecards = self.scorecards.model_copy(update={"scorecards": cards})
        self.write()

    def write(self, verdicts: dict[str, str] | None = None) -> None:
        """Write `reports/` as the stage `report` does; a variant passes unless `verdicts` says otherwise."""
        layout.REPORTS.mkdir(exist_ok=True)
        layout.SCORECARDS.write_text(self.scorecards.model_dump_json(by_alias=True))
        outcomes = {card.variant: "pass" for card in self.scorecards.scorecards} | (verdicts or {})
        reason = Reason(rule="accuracy", value=0.02, limit=0.01, code="accuracy_drop_exceeded")
        found = [{"variant": name, "verdict": outcome, "reasons": [reason]} for name, outcome in outcomes.items()]
        decision = {"winner": None, "baseline": "onnx_fp32", "policy": self.params.policy, "verdicts": found}
        layout.DECISION.write_text(Decision.model_validate(decision).model_dump_json())


def measured(variant: str, content: bytes, accuracy: float) -> Scorecard:
    """Write the variant's model file, and its scorecard."""
    path = layout.model(variant)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    kind, precision, *method = variant.split("_")
    latency = {"n": 300, "p90_us": 12.0, "p99_us": 15.0, "ratio": 0.9, "ratio_ci95": (0.8, 1.0)}
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
            "latency": {
                "threads": 1,
                "batches": {"1": {**latency, "p50_us": round(10 * accuracy, 1)}, "64": {**latency, "p50_us": 99.0}},
            },
            "proof": {"integer_weight_share": 1.0, "integer_compute_share": 1.0, "float_nodes": []},
            "lineage": {"git": "c0ffee", "dvc_lock": "l" * 64, "data": "d" * 64, "params": "p" * 64},
        }
    )


class MakeProject(Protocol):
    def __call__(self, *variants: str) -> Project: ...


class Serve(Protocol):
    def __call__(self, arguments: list[str], page: str) -> str: ...
