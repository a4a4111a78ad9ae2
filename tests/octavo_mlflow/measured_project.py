"""A project that has been measured: small real models of both formats, run on a test split, and their scorecards."""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as tflite
from mlflow import MlflowClient
from onnx import helper, numpy_helper

from octavo.backends import model_files
from octavo.backends.records import ModelFile, Refusal
from octavo.backends.registry import open_model
from octavo.data import prepare
from octavo.data.partition import Partition
from octavo.data.splits import Manifest, Split
from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project import paths
from octavo.project.params.data import Data
from octavo.project.params.params import Params, load_params
from octavo.promotion import gate
from octavo.tasks import classification
from octavo_mlflow.registration.register import Registration, register

PARAMS = Path(__file__).parents[2] / "params.yaml"
VARIANTS = load_params(PARAMS).variants
CLASSES = ["0", "1", "2"]
N = 900
WEIGHTS = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)


def test_split() -> Split:
    """Images that a network of `WEIGHTS` gets right, but for one in thirty."""
    generator = np.random.default_rng(1)
    images = generator.normal(size=(N, 4, 4)).astype(np.float32)
    labels = (images.reshape(N, 16) @ WEIGHTS.T).argmax(1)
    labels[::30] = (labels[::30] + 1) % 3
    return Split(images, labels)


def worse(images: int) -> np.ndarray:
    """Weights with which about that many images more are wrong."""
    test = test_split()
    direction = np.random.default_rng(2).normal(size=WEIGHTS.shape).astype(np.float32)
    for strength in np.linspace(0, 2, 400, dtype=np.float32):
        weights = WEIGHTS + strength * direction
        wrong = ((test.images.reshape(N, 16) @ weights.T).argmax(1) != test.labels).sum()
        if wrong - N // 30 >= images:
            return weights
    raise AssertionError(f"no weights are wrong on {images} images more")


def onnx_bytes(note: str = "", weights: np.ndarray = WEIGHTS) -> bytes:
    """Logits of 4×4 images, as ONNX; `note` makes it another file."""
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "net",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["batch", 4, 4])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.ascontiguousarray(weights.T), "weights")],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)], doc_string=note)
    return bytes(model.SerializeToString())


def tflite_bytes(weights: np.ndarray = WEIGHTS, outputs: int = 1, int8_input: bool = False) -> bytes:
    """The same network as a LiteRT file, written table by table.

    Its logits can be declared more than once, and its images be int8, 0..1 in steps of 1/255 from -128 on.
    """
    graph = tflite.SubGraphT()
    graph.tensors = [
        _tensor("images", [1, 4, 4], [-1, 4, 4]),
        _tensor("weights", [3, 16], [3, 16], buffer=1),
        _tensor("logits", [1, 3], [-1, 3]),
    ]
    dense = tflite.OperatorT()
    dense.inputs, dense.outputs = [0, 1, -1], [2]
    dense.builtinOptionsType, dense.builtinOptions = (
        tflite.BuiltinOptions.FullyConnectedOptions,
        tflite.FullyConnectedOptionsT(),
    )
    graph.inputs, graph.outputs, graph.operators = [0], [2] * outputs, [dense]
    if int8_input:
        integers = _tensor("integers", [1, 4, 4], [-1, 4, 4])
        integers.type, integers.quantization = tflite.TensorType.INT8, tflite.QuantizationParametersT()
        integers.quantization.scale, integers.quantization.zeroPoint = [1 / 255], [-128]
        dequantize = tflite.OperatorT()
        dequantize.opcodeIndex, dequantize.inputs, dequantize.outputs = 1, [3], [0]
        graph.inputs, graph.operators = [3], [dequantize, dense]
        graph.tensors.append(integers)
    stored = tflite.BufferT()
    stored.data = np.frombuffer(weights.tobytes(), np.uint8)
    model = tflite.ModelT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [tflite.BufferT(), stored]
    model.operatorCodes = [_code(tflite.BuiltinOperator.FULLY_CONNECTED), _code(tflite.BuiltinOperator.DEQUANTIZE)]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str, shape: list[int], signature: list[int], buffer: int = 0) -> tflite.TensorT:
    made = tflite.TensorT()
    made.name, made.shape, made.shapeSignature, made.buffer = name, shape, signature, buffer
    made.type = tflite.TensorType.FLOAT32
    return made


def _code(operator: int) -> tflite.OperatorCodeT:
    made = tflite.OperatorCodeT()
    made.builtinCode = made.deprecatedBuiltinCode = operator
    return made


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

    def refuse(self, variant: str, reason: str) -> None:
        """Let the variant have no model, and nothing measured of it."""
        cards = [card for card in self.scorecards.scorecards if card.variant != variant]
        refused = {variant: Refusal(cause="not runnable", reason=reason, remedy="Take another recipe.")}
        self.scorecards = self.scorecards.model_copy(update={"scorecards": cards, "refused": refused})
        model_files.path_of(variant).unlink(missing_ok=True)
        self.write()

    def weigh(self, variant: str, weights: np.ndarray) -> None:
        """Give one variant a network of other weights, and measure it."""
        old = self.scorecards.card(variant)
        card = measured(variant, content(variant, weights), self.params.baseline)
        self.change(variant, **{name: getattr(card, name) for name in ("model", "quality")})
        assert self.scorecards.card(variant).latency == old.latency

    def write(self) -> None:
        """Write `reports/` as the stage `report` does."""
        paths.REPORTS.mkdir(exist_ok=True)
        paths.SCORECARDS.write_text(self.scorecards.model_dump_json(by_alias=True))
        decision = gate.decide(self.scorecards, self.params.policy, self.scorecards.scorecards[0].variant)
        paths.DECISION.write_text(decision.model_dump_json())


def make(folder: Path, empty_store: Path, *variants: str) -> Project:
    """A project in `folder`, the working directory, of the variants named or of all in params.yaml."""
    shutil.copy(PARAMS, folder)
    shutil.copy(empty_store, folder)
    params = load_params()
    manifest = write_data()
    names = list(variants or params.variants)
    cards = [measured(name, content(name), names[0]) for name in names]
    scorecards = Scorecards(
        pipeline="repro-1", machine={"cpu": "test"}, data=manifest.model_dump(mode="json"), scorecards=cards
    )
    project = Project(folder, params, scorecards)
    project.write()
    return project


def brought_back(project: Project) -> Project:
    """The project as its copy `pristine` is; its database is written over, since MLflow keeps it open."""
    folder, pristine = project.folder, project.folder.with_name("pristine")
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith("mlflow.db"):
            path.unlink()
    shutil.copytree(pristine, folder, ignore=shutil.ignore_patterns("mlflow.db*"), dirs_exist_ok=True)
    with (
        closing(sqlite3.connect(pristine / "mlflow.db")) as then,
        closing(sqlite3.connect(folder / "mlflow.db")) as now,
    ):
        then.backup(now)
    return replace(project)


def content(variant: str, weights: np.ndarray = WEIGHTS) -> bytes:
    """A file of the size of the LiteRT one, or for `onnx_fp32` of twice that size."""
    if not variant.startswith("onnx"):
        return tflite_bytes(weights)
    size = len(tflite_bytes()) * (2 if variant == "onnx_fp32" else 1)
    missing = size - len(onnx_bytes(variant, weights)) - 1
    return onnx_bytes(variant.ljust(len(variant) + missing), weights)


def measured(variant: str, content: bytes, baseline: str) -> Scorecard:
    """Write the variant's model file, run it on the test split, and make its scorecard beside the baseline's logits."""
    path, test = model_files.path_of(variant), test_split()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    logits = open_model(path)(test.images)
    paths.logits(variant).parent.mkdir(parents=True, exist_ok=True)
    np.save(paths.logits(variant), logits)
    beside = np.load(paths.logits(baseline))
    ratio = len(content) / model_files.path_of(baseline).stat().st_size
    kind, precision, *method = variant.split("_")
    place = list(VARIANTS).index(variant) if variant in VARIANTS else len(VARIANTS)
    latency = {"n": 300, "ratio": 0.9 - place / 100, "ratio_ci95": (0.5, 1.0)}
    one = {**latency, "p50_us": 10.0 - place / 10, "p90_us": 12.0, "p99_us": 15.0}
    many = {**latency, "p50_us": 99.0, "p90_us": 120.0, "p99_us": 150.0}
    return Scorecard.model_validate(
        {
            "variant": variant,
            "source": "fp32",
            "recipe": "onnx_fp32",
            "format": kind,
            "precision": precision,
            "method": "_".join(method) or None,
            "model": ModelFile(path=str(path), sha256=hashlib.sha256(content).hexdigest()),
            "quality": classification.judge(test, logits, beside, classes=CLASSES),
            "size": {"file_bytes": len(content), "weight_bytes": WEIGHTS.nbytes, "ratio": ratio, "floor_ratio": 1.1},
            "latency": {
                "threads": 1,
                "batches": {"1": one, "64": many},
                "machine": "a" * 12,
            },
            "proof": {"integer_weight_share": 1.0, "integer_compute_share": 1.0, "float_nodes": []},
            "lineage": {"git": "c0ffee", "dvc_lock": "l" * 64, "data": "d" * 64, "params": "p" * 64},
        }
    )


def write_data() -> Manifest:
    """Write the test split, and a manifest of data that have some images beside."""
    test, folder = test_split(), paths.split("test")
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", test.images)
    np.save(folder / "labels.npy", test.labels)
    others = {name: Split(test.images[:9] + 1, test.labels[:9]) for name in ("train", "calibration", "selection")}
    manifest = prepare.describe(Partition({**others, "test": test}, {}, {}), CLASSES, Data(source="digits"))
    paths.MANIFEST.write_text(manifest.model_dump_json())
    return manifest


class MakeProject(Protocol):
    def __call__(self, *variants: str) -> Project: ...


class KeepProject(Protocol):
    def __call__(self, fill: Callable[[Project], object]) -> Project: ...


class Serve(Protocol):
    def __call__(self, arguments: list[str], page: str) -> str: ...


class Later(Protocol):
    def __call__(self, more: timedelta) -> None: ...
