"""A whole project, built in a folder of its own by the commands that its users type."""

import functools
import json
import re
import shutil

import pytest

from octavo.project.params.params import load_params
from tests.end_to_end.project import ROOT, Project

pytestmark = [pytest.mark.slow, pytest.mark.end_to_end, pytest.mark.timeout(900)]

CONSTANT = '''"""A recipe that forgets the network."""

from pathlib import Path

import numpy as np
from onnx import numpy_helper

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize
from octavo.project.params.section import Model


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    model = canonicalize.load(exported / "model.onnx")
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(values), tensor.name))
    canonicalize.save(model, target)
'''
BAD = "onnx_int8_constant"
INTEGER = [name for name in load_params(ROOT / "params.yaml").variants if "int8" in name]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("project"))
    made.repro()
    return made


def test_ten_variants_are_measured_and_registered(project: Project) -> None:
    cards, runs = project.scorecards(), project.runs()
    assert list(cards) == list(load_params(ROOT / "params.yaml").variants)
    assert set(runs) == set(cards)
    for name, card in cards.items():
        figures = {
            "accuracy": round(card["quality"]["top1"], 4),
            "size_bytes": card["size"]["file_bytes"],
            "latency_us": round(card["latency"]["batches"]["1"]["p50_us"], 1),
        }
        assert figures == {metric: runs[name][metric] for metric in figures}
        assert figures["accuracy"] > 0.85
        assert figures["size_bytes"] == (project.folder / card["model"]["path"]).stat().st_size
        assert figures["latency_us"] > 0


@pytest.mark.parametrize("name", INTEGER)
def test_int8_is_int8(project: Project, name: str) -> None:
    assert project.scorecards()[name]["proof"]["integer_weight_share"] == 1


def test_learned_ranges_answer_alike_in_every_form(project: Project) -> None:
    cards = project.scorecards()
    for name, other in (("onnx_int8_qat", "litert_int8_qat"), ("litert_int8_qat", "onnx_int8_qat")):
        chain = cards[name]["parity"]
        assert {"network", other} <= set(chain) <= {"network", other, "reference kernels", "TFLite Micro"}
        assert min(link["top1"] / link["n"] for link in chain.values()) > 0.99
        assert max(link["largest"] for link in chain.values()) < 3
    beside = cards["onnx_int8_qat"]["parity"]["litert_int8_qat"]
    assert (beside["identical"], beside["equal"]) == (1, beside["values"])
    assert beside["kernels"] == "onnxruntime"
    assert beside["reference_kernels"].startswith("XNNPACK")
    for name in ("litert_int8_qat", "litert_int8_static", "litert_int8_dynamic"):
        assert cards[name]["parity"]["reference kernels"]["n"] == cards[name]["quality"]["n"]
    assert [risk["layer"] for risk in cards["onnx_int8_qat"]["proof"]["saturation"]]
    assert cards["litert_int8_qat"]["proof"]["saturation"] is None


def test_git_sees_nothing_but_the_lock(project: Project) -> None:
    assert project.run("git", "status", "--porcelain").split() == ["??", "dvc.lock"]


def test_a_second_repro_does_no_work_again(project: Project) -> None:
    before = (project.folder / "reports/scorecards.json").read_bytes()
    assert project.repro() == ["code", "register"]
    assert (project.folder / "reports/scorecards.json").read_bytes() == before
    assert len(project.runs()) == 10


def test_metrics_and_plots_are_shown_by_dvc(project: Project) -> None:
    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))[""]["data"]["reports/metrics.json"]["data"]
    assert set(shown) == set(project.scorecards())
    plots = project.run("dvc", "plots", "show", "--json")
    for wanted in ("training curves", "accuracy against latency", "confusion"):
        assert wanted in plots


def test_added_lines_make_and_measure_more_variants_and_a_bad_one_stops_nothing(project: Project) -> None:
    """Neither rebuilds anything of the others."""
    project.set_params({"variants": {"onnx_fp16_control": {"source": "control", "recipe": "onnx_fp16"}}})
    project.commit("the lock, and one more variant")
    recipe = project.folder / "mine/constant.py"
    recipe.parent.mkdir()
    recipe.write_text(CONSTANT, encoding="utf-8")
    project.set_params({"variants": {BAD: {"source": "fp32", "recipe": "mine.constant"}}})
    ran = project.repro()
    built = {f"{stage}@{name}" for stage in ("quantize", "evaluate") for name in ("onnx_fp16_control", BAD)}
    assert (ran[:2], set(ran[2:-3]), ran[-3:]) == (["code", "check"], built, ["benchmark", "report", "register"])
    assert len(ran) == len(set(ran))
    assert "onnx_fp16_control" in project.scorecards()
    record = json.loads((project.folder / "reports/scorecards.json").read_bytes())
    assert list(record["refused"]) == [BAD]
    assert BAD not in project.scorecards()
    assert project.run_names() == set(project.scorecards())
    assert "refused: low SQNR" in project.run("octavo", "compare")
    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))[""]["data"]["reports/metrics.json"]["data"]
    assert shown[BAD]["refused"] == 1
    assert "confusion" in project.run("dvc", "plots", "show", "--json")
    code, said = project.attempt("octavo", "promote", BAD)
    assert code == 2
    assert "octavo: onnx_int8_constant is refused and has no model." in said
    assert project.repro() == ["code", "register"]
    recipe.unlink()
    project.run("git", "checkout", "params.yaml")
    for outputs in ("models", "evaluations"):  # `dvc exp run` would remove them, and so measure anew
        shutil.rmtree(project.folder / "artifacts" / outputs / BAD)
    assert project.repro()[-3:] == ["benchmark", "report", "register"]


def test_a_policy_is_tried_as_an_experiment(project: Project) -> None:
    project.commit("measured with one more variant")
    before = project.verdicts()
    assert len(set(before.values())) > 1
    said = project.run("dvc", "exp", "run", "-S", "policy.max_latency_ratio=100", "-S", "policy.max_accuracy_drop=0.5")
    assert "differently; MLflow keeps their verdicts" in said
    assert project.verdicts() == before
    decision = json.loads((project.folder / "reports/decision.json").read_bytes())
    verdicts = {verdict["variant"]: verdict["verdict"] for verdict in decision["verdicts"]}
    assert {verdicts[name] for name in INTEGER} == {"pass"}
    assert "policy.max_latency_ratio" in project.run("dvc", "params", "diff")


def test_an_option_that_no_recipe_knows_stops_before_the_first_stage_that_makes_anything(project: Project) -> None:
    before = (project.folder / "params.yaml").read_text()
    project.set_params(
        {
            "networks": {"fp32": {"epochs": 5}},
            "variants": {"onnx_int8_x": {"source": "fp32", "recipe": "onnx_fp32", "options": {"bits": 4}}},
        }
    )
    code, said = project.attempt("dvc", "repro")
    assert code != 0
    assert re.findall(r"Running stage '([^']+)'", said) == ["code", "check"]
    assert (
        "octavo: params.yaml: variant 'onnx_int8_x': Recipe 'onnx_fp32': options: Unknown key 'bits'. Known: " in said
    )
    (project.folder / "params.yaml").write_text(before)


def test_a_network_of_ones_own_is_trained_anew_when_its_code_changes(project: Project) -> None:
    """The stage `code` sees the module that `build` names, and what it imports."""
    nets = project.folder / "nets"
    nets.mkdir()
    (nets / "blocks.py").write_text("ACTIVATION = 'relu'\n")
    (nets / "mine.py").write_text(
        "from tf_keras import Sequential, layers\nfrom nets.blocks import ACTIVATION\n\n\ndef build(shape, classes):\n"
        "    dense = layers.Dense(8, activation=ACTIVATION)\n"
        "    return Sequential([layers.Input(shape), layers.Flatten(), dense, layers.Dense(classes)])\n"
    )
    project.set_params({"networks": {"fp32": {"build": "nets.mine:build", "epochs": 1}}})
    again = functools.partial(project.run, "dvc", "repro", "network@fp32")
    assert re.findall(r"Running stage '([^']+)'", again())[-1] == "network@fp32"
    assert re.findall(r"Running stage '([^']+)'", again()) == ["code"]
    (nets / "blocks.py").write_text("ACTIVATION = 'tanh'\n")
    project.run("dvc", "repro", "code")
    assert "network.fp32" in project.run("dvc", "status", "network@fp32")
    assert re.findall(r"Running stage '([^']+)'", again())[-1] == "network@fp32"
