"""Scorecards assembled from what the stages wrote, with where they came from."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from octavo.backends import model_files
from octavo.backends.records import Integers, Refusal
from octavo.evaluation import assembly
from octavo.evaluation.scorecard import Parity, Scorecards, load_scorecards
from octavo.project import paths
from octavo.project.errors import ModelError, VariantRefused
from octavo.project.params.params import load_params

PARAMS = Path(__file__).parents[3] / "params.yaml"
EVALUATED = {"model", "quality", "size", "proof", "acceptance", "interface", "layer_sqnr_db", "notes"}


def git(*arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], check=True, capture_output=True)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture(autouse=True)
def project(scorecards: Scorecards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which every stage before the report has run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    Path("params.yaml").write_bytes(PARAMS.read_bytes())
    for card in scorecards.scorecards:
        folder = paths.card(card.variant).parent
        folder.mkdir(parents=True)
        content = card.model_dump(mode="json", include=EVALUATED)
        (folder / "card.json").write_text(json.dumps(content))
    latency = {card.variant: card.latency.model_dump(mode="json")["batches"] for card in scorecards.scorecards}
    models = {card.variant: card.model.sha256 for card in scorecards.scorecards}
    benchmark = {"machine": scorecards.machine, "models": models, "threads": 1, "latency": latency}
    paths.BENCHMARK.write_text(json.dumps(benchmark))
    paths.DATA.mkdir()
    paths.MANIFEST.write_text(json.dumps(scorecards.data))
    return tmp_path


def assemble() -> Scorecards:
    return assembly.assemble(load_params())


def test_what_the_stages_wrote_is_all_there(scorecards: Scorecards) -> None:
    assembled = assemble()
    assert (assembled.machine, assembled.data) == (scorecards.machine, scorecards.data)
    measured = EVALUATED | {"format", "precision", "method", "recipe"}
    for card in scorecards.scorecards:
        again = assembled.card(card.variant)
        assert again.model_dump(include=measured) == card.model_dump(include=measured)
        assert again.latency.batches == card.latency.batches
        assert again.lineage.data == scorecards.data["digest"]


def test_variants_stand_in_the_order_of_params() -> None:
    assert [card.variant for card in assemble().scorecards] == list(load_params().variants)


@pytest.mark.parametrize("path", [paths.BENCHMARK, paths.MANIFEST, paths.card("onnx_int8_qat")])
@pytest.mark.parametrize("content", [None, "", "[]", '{"other": 1}'])
def test_a_missing_or_broken_measurement_is_named(path: Path, content: str | None) -> None:
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelError, match=rf"{path.name}.*Run dvc repro"):
        assemble()


def test_variants_of_different_formats_with_the_same_integers_are_compared(scorecards: Scorecards) -> None:
    network = Parity(top1=2, n=3, identical=0.5, largest=1, step=0.25)
    integers = Integers(weights=[("a" * 64, 2.0), ("b" * 64, 3.0)], output_step=0.25, steps=[0.125, 0.25])
    computed = {"onnx_int8_qat": "onnxruntime", "litert_int8_qat": "XNNPACK"}
    for name, logit in (("onnx_int8_qat", -0.5), ("litert_int8_qat", 0.5)):
        known = network.model_copy(update={"kernels": computed[name]})
        model = scorecards.card(name).model.model_copy(update={"path": str(model_files.path_of(name))})
        edit(
            paths.card(name),
            model=model.model_dump(),
            parity={"network": known.model_dump()},
            integers=integers.model_dump(),
        )
        np.save(paths.logits(name), np.array([[0, logit], [0, 1], [1, 0]], np.float32))
    assembled = assemble()
    beside = Parity(top1=2, n=3, identical=2 / 3, largest=4, step=0.25, equal=5, values=6)
    for name, other in (("onnx_int8_qat", "litert_int8_qat"), ("litert_int8_qat", "onnx_int8_qat")):
        named = {"kernels": computed[name], "reference_kernels": computed[other]}
        assert assembled.card(name).parity[other] == beside.model_copy(update=named)
    assert assembled.card("onnx_int8_static").parity == {}
    paths.logits("litert_int8_qat").write_text("broken")
    with pytest.raises(ModelError, match=r"logits\.npy.*Run dvc repro"):
        assemble()


def test_a_variant_that_was_not_timed_is_named() -> None:
    edit(paths.BENCHMARK, latency={})
    with pytest.raises(ModelError, match="no latency of 'onnx_fp32'"):
        assemble()


def test_figures_of_another_file_than_was_evaluated_are_not_put_on_its_card() -> None:
    models = {card.variant: card.model.sha256 for card in assemble().scorecards}
    edit(paths.BENCHMARK, models=models | {"onnx_int8_qat": "0" * 64})
    with pytest.raises(ModelError, match=r"'onnx_int8_qat' that was timed is not the one .* evaluated\. Run dvc repro"):
        assemble()


def test_a_latency_bears_the_machine_it_was_taken_on() -> None:
    before = {card.latency.machine for card in assemble().scorecards}
    edit(paths.BENCHMARK, machine={"cpu": "another"})
    after = {card.latency.machine for card in assemble().scorecards}
    assert (len(before), len(after), len(before | after)) == (1, 1, 2)


def test_the_pipeline_digest_follows_models_data_and_params_only() -> None:
    before = assemble()
    edit(paths.BENCHMARK, machine={"cpu": "another"})
    Path("params.yaml").write_text("# a comment\n" + Path("params.yaml").read_text())
    assert assemble().pipeline == before.pipeline

    digests = {before.pipeline}
    models = json.loads(paths.BENCHMARK.read_text())["models"]
    edit(paths.card("onnx_int8_qat"), model={"path": "model.onnx", "sha256": "0" * 64})
    edit(paths.BENCHMARK, models=models | {"onnx_int8_qat": "0" * 64})
    digests.add(assemble().pipeline)
    edit(paths.MANIFEST, digest="1" * 64)
    digests.add(assemble().pipeline)
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["data"]["seed"] = 7
    Path("params.yaml").write_text(yaml.safe_dump(content))
    digests.add(assemble().pipeline)
    assert len(digests) == 4


def test_a_variant_that_evaluate_refused_has_no_scorecard(scorecards: Scorecards) -> None:
    refusal = Refusal(cause="not made", reason="It has no ranges.", remedy="Take it out.")
    paths.card("litert_int8_qat").write_text(refusal.model_dump_json())
    assembled = assemble()
    assert assembled.refused == {"litert_int8_qat": refusal}
    assert [card.variant for card in assembled.scorecards] == [
        card.variant for card in scorecards.scorecards if card.variant != "litert_int8_qat"
    ]
    with pytest.raises(VariantRefused, match=r"^litert_int8_qat is refused and has no model\. It has no ranges"):
        assembled.card("litert_int8_qat")


def test_a_variant_that_was_not_timed_because_of_its_logits_is_refused() -> None:
    edit(paths.BENCHMARK, refused={"onnx_fp16": "onnx_fp16 gives logits that are NaN."})
    assert assemble().refused["onnx_fp16"].reason == "onnx_fp16 gives logits that are NaN."


def test_scorecards_from_before_files_were_tried_are_read(scorecards: Scorecards) -> None:
    written = json.loads(scorecards.model_dump_json(by_alias=True))
    del written["refused"]
    for card in written["scorecards"]:
        del card["acceptance"]
    Path("old.json").write_text(json.dumps(written))
    old = load_scorecards(Path("old.json"))
    assert old.refused == {}
    assert {card.acceptance for card in old.scorecards} == {None}
