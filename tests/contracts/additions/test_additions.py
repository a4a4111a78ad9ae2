"""A runtime, a recipe or a task is added by its own files: nothing else knows of it, and everything works with it."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from onnx import helper

from octavo import backends
from octavo.backends import latency, layer_sqnr, model_files, registry
from octavo.backends.registry import open_model
from octavo.data import prepare
from octavo.data.splits import Samples, Split
from octavo.evaluation import assembly, integer_coverage
from octavo.evaluation.benchmark import benchmark
from octavo.evaluation.evaluate import evaluate
from octavo.onnx_graph import canonicalize
from octavo.project import paths
from octavo.project.errors import ModelError, ParamsError
from octavo.project.params.params import Params
from octavo.promotion import gate
from octavo.quantization import clipping, recipes
from octavo.quantization.acceptance import FileRefused
from octavo.quantization.make import make
from octavo.quantization.searching.trial_runner import Bench
from octavo.reporting import report
from octavo.reporting.documents import bundle
from octavo.tasks import task
from tests.contracts.additions import in_place
from tests.octavo.onnx_graphs import drawn, network

PARAMS = Path(__file__).parents[3] / "params.yaml"
WEIGHTS = drawn(16, 3)
SIGN = "tests.contracts.additions.sign:Sign"


@pytest.fixture
def added() -> Iterator[None]:
    """All but the flavor, which needs MLflow."""
    with in_place.added_to(*(name for name in in_place.PLACES if not name.startswith("octavo_mlflow"))):
        yield


def dense(weights: np.ndarray, folder: Path) -> Path:
    """A network of one layer, exported into `folder`."""
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Gemm", ["flat", "w", "b"], ["y"])]
    biases = np.linspace(-0.1, 0.1, weights.shape[1], dtype=np.float32)
    model = network(nodes, {"w": weights, "b": biases}, image=(4, 4), result=weights.shape[1:])
    for node in model.graph.node:
        node.doc_string = "dense"
    canonicalize.save(model, folder / "model.onnx")
    return folder


def written(weights: np.ndarray) -> bytes:
    """A `.linear` file of these weights."""
    buffer = io.BytesIO()
    np.save(buffer, np.vstack([weights, np.zeros((1, 3), np.float32)]))
    return buffer.getvalue()


def params(**variants: str) -> Params:
    """Those of the project, with these variants of `fp32` alone: name -> recipe."""
    written = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    written |= {
        "data": {"source": "npz", "path": "images.npz", "calibration": 40},
        "variants": {name: {"source": "fp32", "recipe": recipe} for name, recipe in variants.items()},
        "baseline": next(iter(variants)),
        "benchmark": {"batches": [1], "rounds": 10},
    }
    return Params.model_validate(written)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project whose network was exported."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (300, 4, 4), np.uint8)
    labels = (images.reshape(300, 16) @ WEIGHTS).argmax(1)
    np.savez("images.npz", x_train=images[:200], y_train=labels[:200], x_test=images[200:], y_test=labels[200:])
    prepare.prepare(params(onnx_fp32="onnx_fp32").data, paths.DATA)
    dense(WEIGHTS, paths.exported("fp32"))


@pytest.mark.usefixtures("added", "project")
def test_a_runtime_is_one_folder_and_its_recipe_one_file() -> None:
    asked = params(onnx_fp32="onnx_fp32", linear_fp32="linear_fp32")
    Path("params.yaml").write_text(yaml.safe_dump(asked.model_dump(mode="json", by_alias=True)), encoding="utf-8")
    recipes.check(asked)
    for name in asked.variants:
        assert "Refused" not in make(name, asked)
    for name in asked.variants:
        assert "Refused" not in evaluate(name, asked)
    assert benchmark(asked) == ["onnx_fp32", "linear_fp32"]
    scorecards = assembly.assemble(asked)
    card = scorecards.card("linear_fp32")
    assert card.model.path == "artifacts/models/linear_fp32/model.linear"
    assert (card.format, card.quality.vs_baseline.agreement, card.quality.top1 > 0.9) == ("linear", 1, True)
    assert (card.proof.integer_compute_share, card.proof.saturation, card.layer_sqnr_db) == (0, None, {})
    assert card.size.weight_bytes == 4 * 17 * 3
    decision = gate.decide(scorecards, asked.policy, asked.baseline)
    report.write_project(scorecards, decision, asked)
    assert "<i></i>Linear</li>" in paths.REPORT.read_text(encoding="utf-8")
    texts = bundle.cards(card, scorecards, decision, asked)
    assert 'weights = np.load("model.linear")\n```' in texts[bundle.MODEL_CARD]
    assert "as Linear in fp32" in texts[bundle.MODEL_CARD]
    named = {each["name"] for each in json.loads(texts[bundle.BOM])["components"]}
    assert "numpy" in named
    assert not {"onnxruntime", "ai-edge-litert"} & named


@pytest.mark.usefixtures("added")
def test_a_file_of_its_own_is_refused_with_a_remedy_that_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No recipe of the format computes in float and makes small files."""
    images = np.zeros((4, 4, 4), np.uint8)
    samples = Samples(images, Split(images, np.zeros(4, np.int64)), min_sqnr_db=200)
    monkeypatch.setattr(recipes, "_make", lambda *parts: parts[3].write_bytes(written(-WEIGHTS)))
    with pytest.raises(FileRefused) as caught:
        recipes.quantize("linear_fp32", dense(WEIGHTS, tmp_path), tmp_path / "made/model.linear", samples, {})
    assert caught.value.refusal.remedy.startswith("Take another recipe.")


@pytest.mark.usefixtures("added", "project")
def test_a_recipe_is_one_file_in_the_folder_of_its_format() -> None:
    asked = params(onnx_fp32="onnx_fp32", onnx_fp32_coarse="onnx_fp32_coarse")
    recipes.check(asked)
    assert "onnx_fp32_coarse" in recipes.names()
    assert "SQNR" in make("onnx_fp32_coarse", asked)
    coarse = asked.variants["onnx_fp32_coarse"].model_copy(update={"options": {"steps": 0}})
    wrong = asked.model_copy(update={"variants": {**asked.variants, "onnx_fp32_coarse": coarse}})
    with pytest.raises(ParamsError, match=r"steps"):
        recipes.check(wrong)


@pytest.mark.usefixtures("project")
def test_a_recipe_of_ones_own_is_a_module_with_a_dotted_name() -> None:
    asked = params(onnx_fp32="onnx_fp32", onnx_fp32_own="tests.contracts.additions.recipes.onnx.fp32_coarse")
    recipes.check(asked)
    assert "SQNR" in make("onnx_fp32_own", asked)


@pytest.mark.usefixtures("added")
def test_a_format_that_nothing_runs_is_an_error_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"says other, which no backend runs. Known formats: litert, onnx, linear"):
        recipes.check(params(other_fp32="onnx_fp32"))
    path, images = tmp_path / "model.other", np.zeros((1, 4, 4), np.float32)
    path.write_bytes(b"")
    for read in (
        open_model,
        model_files.parts,
        model_files.sha256,
        integer_coverage.prove,
        integer_coverage.interface,
        integer_coverage.output_step,
        lambda path: integer_coverage.measure_size(path, path),
        lambda path: clipping.count(path, path),
        lambda path: layer_sqnr.measure(path, path, images, images),
        lambda path: layer_sqnr.likely(path, path, images, images),
    ):
        with pytest.raises(ModelError, match=r"No runtime for .*model\.other\. Known: \.tflite, \.onnx, \.linear\."):
            read(path)
    with pytest.raises(ModelError, match=r"Unknown format 'other'. Known: litert, onnx, linear"):
        model_files.path_of("other_int8")


@pytest.mark.usefixtures("added")
def test_two_runtimes_cannot_claim_one_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = tmp_path / "twin"
    twin.mkdir()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # compiled code is known by second and size
    declared = "from octavo.backends.backend import Format\n"
    declared += "FORMAT = Format(name='{}', title='T', suffix='{}', libraries=())\n"
    monkeypatch.setattr(backends, "__path__", [*backends.__path__, str(tmp_path)])
    for name, suffix, what in (("twin", ".linear", "suffix '.linear'"), ("linear", ".twin", "name 'linear'")):
        (twin / "__init__.py").write_text(declared.format(name, suffix), encoding="utf-8")
        monkeypatch.delitem(sys.modules, "octavo.backends.twin", raising=False)
        with pytest.raises(ModelError, match=f"declare the {what}"):
            registry.formats()
    (twin / "__init__.py").write_text('"""None."""\n' * 3, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "octavo.backends.twin", raising=False)
    with pytest.raises(ModelError, match=r"octavo.backends.twin declares no format"):
        registry.formats()


def test_no_runtime_is_imported_before_a_file_of_its_format_is_asked_for() -> None:
    probe = (
        "import sys; from octavo.backends import model_files, registry; registry.formats(); "
        "model_files.path_of('litert_fp32'); "
        "print(*{'onnxruntime', 'ai_edge_litert', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


@pytest.mark.usefixtures("added")
def test_its_libraries_count_to_what_latency_depends_on() -> None:
    assert list(latency.describe_machine()["versions"]) == ["ai-edge-litert", "numpy", "onnxruntime"]


def signed(weights: np.ndarray, folder: Path, task: str) -> tuple[Path, Samples]:
    """A network of one output, and images whose labels are that output's sign."""
    images = np.random.default_rng(1).random((64, 4, 4), np.float32)
    exported = dense(weights, folder)
    labels = (open_model(exported / "model.onnx")(images)[:, 0] > 0).astype(np.int64)
    return exported, Samples(images, Split(images, labels), task=task)


def test_a_task_of_ones_own_is_asked_what_outputs_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the largest of one logit every answer would be the same."""
    weights = drawn(16, 1) - drawn(16, 1).mean()
    exported, samples = signed(weights, tmp_path / "network", SIGN)
    model = canonicalize.load(exported / "model.onnx")
    share = float(samples.selection.labels.mean())
    assert 0.1 < share < 0.9
    assert Bench(model, samples, tmp_path).float_accuracy == 1
    flipped = samples.selection.labels.copy()
    flipped[:16] = 1 - flipped[:16]
    other = Samples(samples.calibration, Split(samples.selection.images, flipped), task=SIGN)
    assert Bench(model, other, tmp_path).float_accuracy == 0.75
    negated = dense(-weights, tmp_path / "negated") / "model.onnx"
    monkeypatch.setattr(recipes, "_make", lambda *parts: parts[3].write_bytes(negated.read_bytes()))
    with pytest.raises(FileRefused) as caught:
        recipes.quantize("onnx_fp32", exported, tmp_path / "made/model.onnx", samples, {})
    figures = caught.value.refusal.acceptance
    assert figures
    assert figures.agreement < 0.2


def test_a_task_that_is_none_is_told() -> None:
    with pytest.raises(ParamsError, match=r"Unknown task 'detection'. Known: classification, or module:Class"):
        task.load("detection")
    with pytest.raises(ParamsError, match=r"Task 'no.such:Task' cannot be loaded: ModuleNotFoundError"):
        task.load("no.such:Task")
    with pytest.raises(ParamsError, match=r"Task 'octavo.data.splits:PixelStatistics' cannot be loaded"):
        task.load("octavo.data.splits:PixelStatistics")
    with pytest.raises(ParamsError, match=r"has no name and no loss and no metric"):
        task.load("builtins:dict")


@pytest.mark.parametrize("name", ["classification", SIGN])
def test_every_task_gives_the_shapes_of_its_contract(name: str) -> None:
    found = task.load(name)
    outputs = np.random.default_rng(0).normal(size=(20, 1 if name == SIGN else 4)).astype(np.float32)
    labels = np.zeros(20, np.int64)
    answers, scores = found.answers(outputs, "It"), found.scores(outputs, labels)
    assert answers.shape == scores.shape == found.same(outputs, -outputs).shape == (20,)
    assert found.scores(outputs, answers).tolist() == [1] * 20
    assert found.same(outputs, outputs).all()
    assert found.summary(scores) == (answers == labels).mean()
    broken = outputs.copy()
    broken[3] = np.nan
    assert not found.same(broken, outputs)[3]
    assert found.scores(broken, answers)[3] == 0
    with pytest.raises(ModelError, match=r"^It gives"):
        found.answers(broken, "It")
