import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import onnx
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from octavo.backends import model_files
from octavo.backends.records import Acceptance
from octavo.project import paths
from octavo.project.errors import ModelError, ServiceUnavailable
from octavo.promotion import gate
from octavo_mlflow.registration import shared_view
from octavo_mlflow.registry import tags as registry_tags
from octavo_mlflow.tracking import connection
from tests.octavo_mlflow import contenders
from tests.octavo_mlflow.contenders import FORKS, PATIENCE
from tests.octavo_mlflow.measured_project import WEIGHTS, MakeProject, Project, Serve

pytestmark = pytest.mark.slow

FIGURES = ("accuracy", "size_bytes", "latency_us", "size_ratio", "latency_ratio", "agreement", "accuracy_delta")


def runs(view: int = ViewType.ACTIVE_ONLY) -> dict[str, Run]:
    """Runs by name; two of one name are a failure."""
    client = MlflowClient()
    found = client.search_runs([connection.experiment(client, "octavo")], run_view_type=view)
    names = [run.info.run_name for run in found]
    assert sorted(names) == sorted(set(names))
    return {run.info.run_name: run for run in found}


def model_id(run: Run) -> str:
    assert run.outputs
    (output,) = run.outputs.model_outputs
    return output.model_id


def versions() -> dict[str, list[str]]:
    """Version numbers by variant."""
    found: dict[str, list[str]] = {}
    for version in MlflowClient().search_model_versions("name = 'octavo'"):
        found.setdefault(version.tags["variant"], []).append(str(version.version))
    return found


def test_each_variant_has_one_flat_run_one_model_and_one_version(project: Project) -> None:
    assert project.register().added == ["onnx_fp32", "litert_int8_static"]

    for card in project.scorecards.scorecards:
        run = runs()[card.variant]
        assert run.info.status == "FINISHED"
        assert run.data.metrics["accuracy"] == round(card.quality.top1, 4)
        assert run.data.metrics["size_bytes"] == card.size.file_bytes
        assert run.data.metrics["latency_us"] == card.latency.batches["1"].p50_us
        assert run.data.metrics["latency_us_batch_64"] == 99.0
        assert set(FIGURES) <= set(run.data.metrics)
        assert run.data.params["recipe"] == "onnx_fp32"
        tags = run.data.tags
        assert (tags["variant"], tags["pipeline"], tags["git.commit"]) == (card.variant, "repro-1", "c0ffee")
        assert tags["dvc.lock"] == "l" * 64
        assert "mlflow.parentRunId" not in tags

        assert run.inputs
        (dataset,) = run.inputs.dataset_inputs
        assert (dataset.dataset.name, dataset.dataset.digest) == ("digits-test", "d" * 12)
        model = project.client().get_logged_model(model_id(run))
        figures = {metric.key: metric for metric in model.metrics or []}
        assert {name: metric.value for name, metric in figures.items()} == run.data.metrics
        assert figures["accuracy"].dataset_digest == "d" * 12

        (number,) = versions()[card.variant]
        version = project.client().get_model_version("octavo", number)
        assert version.run_id == run.info.run_id
        assert float(version.tags["accuracy"]) == round(card.quality.top1, 4)
        assert version.tags["model.sha256"] == card.model.sha256
        scorecard = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/scorecard.json")
        assert scorecard == json.loads(card.model_dump_json())


def test_the_registered_model_predicts_as_the_file_does(registered: Project) -> None:
    images = np.random.default_rng(1).random((5, 4, 4), np.float32)
    by_variant = {
        name: mlflow.pyfunc.load_model(f"models:/octavo/{number}").predict(images)
        for name, (number,) in versions().items()
    }
    onnx_logits, litert_logits = by_variant["onnx_fp32"], by_variant["litert_int8_static"]
    np.testing.assert_allclose(onnx_logits, litert_logits, rtol=1e-5, atol=1e-5)


def test_a_second_run_adds_nothing(project: Project) -> None:
    variants = ["onnx_fp32", "litert_int8_static"]
    assert project.register().added == variants
    before = versions()
    outcome = project.register()
    assert (outcome.added, outcome.unchanged) == ([], variants)
    assert versions() == before
    assert len(runs(ViewType.ALL)) == 2


def test_the_registered_bytes_are_those_that_were_measured(project: Project) -> None:
    path = model_files.path_of("onnx_fp32")
    proto = onnx.load(path)
    graph = onnx.ModelProto(graph=proto.graph).SerializeToString()
    proto.ClearField("graph")
    path.write_bytes(graph + proto.SerializeToString())  # the same model, its fields in an order no writer would choose
    assert onnx.load(path).SerializeToString() != path.read_bytes()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    card = project.scorecards.card("onnx_fp32")
    project.change("onnx_fp32", model=card.model.model_copy(update={"sha256": sha256}))

    project.register()
    folder = mlflow.artifacts.download_artifacts(f"models:/octavo/{versions()['onnx_fp32'][0]}")
    assert hashlib.sha256(Path(folder, "model.onnx").read_bytes()).hexdigest() == sha256
    assert not list(Path(folder).glob("*.data"))


def test_a_file_that_is_not_the_measured_one_is_refused_before_anything_is_written(project: Project) -> None:
    model_files.path_of("litert_int8_static").write_bytes(b"another")
    with pytest.raises(ModelError, match=r"model\.tflite is not the model that was measured.*Run dvc repro"):
        project.register()
    model_files.path_of("litert_int8_static").unlink()
    with pytest.raises(ModelError, match="No model file"):
        project.register()
    mlflow.set_tracking_uri(connection.uri())
    assert project.client().get_experiment_by_name("octavo") is None


def test_changed_figures_make_a_new_version_and_leave_aliases_alone(registered: Project) -> None:
    registered.client().set_registered_model_alias("octavo", "champion", versions()["onnx_fp32"][0])
    registered.change("onnx_fp32", notes=["measured again"])
    outcome = registered.register()
    assert (outcome.added, outcome.unchanged) == (["onnx_fp32"], ["litert_int8_static"])
    assert len(versions()["onnx_fp32"]) == 2
    aliases = registered.client().get_registered_model("octavo").aliases
    assert {alias: str(number) for alias, number in aliases.items()} == {"champion": "1"}


def test_nothing_of_a_refused_variant_is_registered(project: Project) -> None:
    project.refuse("litert_int8_static", "It cannot be loaded.")
    outcome = project.register()
    assert "1 added (onnx_fp32), 0 unchanged, 1 refused and left out (litert_int8_static). To look" in str(outcome)
    assert set(runs()) == set(versions()) == {"onnx_fp32"}


def test_what_was_registered_before_its_variant_was_refused_stays(registered: Project) -> None:
    registered.refuse("litert_int8_static", "It cannot be loaded.")
    assert registered.register().added == []
    assert versions() == {"onnx_fp32": ["1"], "litert_int8_static": ["2"]}


def test_the_noise_of_the_outputs_is_a_metric_and_a_tag(project: Project) -> None:
    figures = {"n": 500, "sqnr_db": 43.27, "min_sqnr_db": 10, "relative_rms_error": 0.0069, "agreement": 1.0}
    counts = dict.fromkeys(("non_finite", "clipped_biases", "clipped_weights", "unmatched_weights"), 0)
    project.change("litert_int8_static", acceptance=Acceptance.model_validate(figures | counts))
    project.register()
    assert runs()["litert_int8_static"].data.metrics["sqnr_db"] == 43.27
    assert MlflowClient().get_model_version("octavo", "2").tags["sqnr_db"] == "43.27"
    assert "sqnr_db" not in runs()["onnx_fp32"].data.metrics


def test_scorecards_from_before_files_were_tried_keep_their_digest(project: Project) -> None:
    card = project.scorecards.card("onnx_fp32")
    assert card.acceptance is None
    assert registry_tags.digest(card) == registry_tags.digest_of(card.model_dump(mode="json", exclude={"acceptance"}))


def test_another_verdict_is_shown_on_the_same_run_and_version(registered: Project) -> None:
    before = versions()
    assert {name: run.data.tags["verdict"] for name, run in runs().items()} == {
        "onnx_fp32": "baseline",
        "litert_int8_static": "pass",
    }
    policy = registered.params.policy.model_copy(update={"max_size_ratio": 0.4})
    decision = gate.decide(registered.scorecards, policy, "onnx_fp32")
    paths.DECISION.write_text(decision.model_dump_json())
    paths.REPORT.write_text("the new page")

    outcome = registered.register()
    assert (outcome.added, outcome.judged_anew, outcome.unchanged) == ([], ["litert_int8_static"], ["onnx_fp32"])
    assert "0 added, 1 judged again (litert_int8_static), 1 unchanged" in str(outcome)
    assert versions() == before
    run = runs()["litert_int8_static"]
    version = registered.client().get_model_version("octavo", before["litert_int8_static"][0])
    assert run.data.tags["verdict"] == version.tags["verdict"] == "fail"
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/report.html") == "the new page"
    assert registered.register().judged_anew == []


def test_an_experiment_leaves_the_verdicts_of_what_is_registered_alone(
    registered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.REPORT.write_text("the experiment's page")
    policy = registered.params.policy.model_copy(update={"max_size_ratio": 0.4})
    paths.DECISION.write_text(gate.decide(registered.scorecards, policy, "onnx_fp32").model_dump_json())
    monkeypatch.setenv("DVC_EXP_NAME", "what-if")

    outcome = registered.register()
    assert (outcome.added, outcome.judged_anew, outcome.left) == ([], [], ["litert_int8_static"])
    assert "judges litert_int8_static differently; MLflow keeps their verdicts" in str(outcome)
    assert shown_verdicts(registered) == {"onnx_fp32": {"baseline"}, "litert_int8_static": {"pass"}}
    run = runs()["litert_int8_static"]
    assert "dvc.exp" not in run.data.tags
    assert "report.html" not in {item.path for item in registered.client().list_artifacts(run.info.run_id)}

    registered.client().delete_model_version("octavo", versions()["litert_int8_static"][0])
    assert registered.register().added == ["litert_int8_static"]
    assert shown_verdicts(registered)["litert_int8_static"] == {"pass"}, (
        "a version that comes back is judged as its run"
    )

    monkeypatch.delenv("DVC_EXP_NAME")
    assert registered.register().judged_anew == ["litert_int8_static"]
    assert shown_verdicts(registered)["litert_int8_static"] == {"fail"}


def test_what_an_experiment_adds_bears_its_name_and_its_verdict(
    registered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "what-if")
    registered.change(
        "litert_int8_static", size=registered.scorecards.card("onnx_fp32").size.model_copy(update={"ratio": 2})
    )
    assert registered.register().added == ["litert_int8_static"]
    found = registered.client().search_runs(["1"], "tags.`dvc.exp` = 'what-if'")
    assert [(run.info.run_name, run.data.tags["verdict"]) for run in found] == [("litert_int8_static", "fail")]


def shown_verdicts(project: Project) -> dict[str, set[str]]:
    """What runs and versions say, by variant."""
    shown = {name: {run.data.tags["verdict"]} for name, run in runs().items()}
    for version in project.client().search_model_versions("name = 'octavo'"):
        shown[version.tags["variant"]].add(version.tags["verdict"])
    return shown


def test_a_baseline_that_does_not_beat_the_majority_class_is_said_on_runs_and_versions(registered: Project) -> None:
    assert {run.data.tags["baseline.beats_majority"] for run in runs().values()} == {"yes"}
    for variant in ("onnx_fp32", "litert_int8_static"):
        registered.weigh(variant, 0 * WEIGHTS)
    assert len(registered.register().added) == 2
    for version in registered.client().search_model_versions("name = 'octavo'"):
        run = registered.client().get_run(str(version.run_id))
        told = "Baseline onnx_fp32 does not beat the majority class" in str(version.description)
        assert {tags["baseline.beats_majority"] for tags in (version.tags, run.data.tags)} == {"no" if told else "yes"}
        assert told == (int(version.version) > 2)


def test_a_version_leads_back_to_what_it_was_made_of_and_its_model_tells_how_to_promote(project: Project) -> None:
    project.change(
        "litert_int8_static",
        lineage=project.scorecards.card("litert_int8_static").lineage.model_copy(update={"git": "beef-dirty"}),
    )
    project.register()
    model = project.client().get_registered_model("octavo")
    assert "octavo promote" in model.description
    assert "octavo rollback" in model.description
    for variant, made in {
        "onnx_fp32": "at commit `c0ffee`, with DVC lock `llllllllllll`: `git checkout c0ffee`",
        "litert_int8_static": "at commit `beef`, with changes that were not committed, with DVC lock",
    }.items():
        version = project.client().get_model_version("octavo", versions()[variant][0])
        assert version.description
        assert version.description.startswith(f"{variant}: Classifies images into 3 classes")
        assert made in version.description
        assert f"runs/{version.run_id}/artifacts" in version.description


def test_descriptions_that_somebody_wrote_stay(project: Project) -> None:
    project.client().create_registered_model("octavo", description="ours")
    project.register()
    number = versions()["onnx_fp32"][0]
    project.client().update_model_version("octavo", number, "also ours")
    project.client().delete_run(runs()["onnx_fp32"].info.run_id)
    project.register()
    assert project.client().get_registered_model("octavo").description == "ours"
    assert project.client().get_model_version("octavo", number).description == "also ours"


def test_the_printed_link_names_a_view_that_the_experiment_has(project: Project) -> None:
    link = project.register().look
    client = project.client()
    place = connection.experiment(client, "octavo")
    assert link.endswith(f"/#/experiments/{place}/runs?workflowType=machine_learning&viewStateShareKey=octavo")
    client.set_experiment_tag(place, shared_view.TAG, "not JSON")
    project.register()
    tag = json.loads(client.get_experiment(place).tags[shared_view.TAG])
    assert json.loads(tag["state"])["orderByKey"] == "metrics.`latency_us`"


def test_a_new_commit_alone_adds_nothing(registered: Project) -> None:
    lineage = registered.scorecards.card("onnx_fp32").lineage
    registered.change("onnx_fp32", lineage=lineage.model_copy(update={"git": "another", "params": "q" * 64}))
    assert registered.register().added == []


def _delete_run(client: MlflowClient) -> None:
    client.delete_run(runs()["onnx_fp32"].info.run_id)


def _delete_version(client: MlflowClient) -> None:
    client.delete_model_version("octavo", versions()["onnx_fp32"][0])


def _delete_registered_model(client: MlflowClient) -> None:
    client.delete_registered_model("octavo")


def _delete_experiment(client: MlflowClient) -> None:
    client.delete_experiment(connection.experiment(client, "octavo"))


def _delete_logged_model(client: MlflowClient) -> None:
    client.delete_logged_model(model_id(runs()["onnx_fp32"]))


def _collect_garbage(client: MlflowClient) -> None:
    _delete_run(client)
    subprocess.run(
        [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", connection.uri()], check=True, capture_output=True
    )


@pytest.mark.parametrize(
    "delete",
    [
        _delete_run,
        _delete_version,
        _delete_registered_model,
        _delete_experiment,
        _delete_logged_model,
        pytest.param(_collect_garbage, marks=pytest.mark.slow),
    ],
)
def test_what_was_deleted_in_mlflow_is_restored(registered: Project, delete: Callable[[MlflowClient], None]) -> None:
    delete(registered.client())
    assert "onnx_fp32" in registered.register().added or delete is _delete_experiment
    assert set(runs()) == set(versions()) == {"onnx_fp32", "litert_int8_static"}
    for run in runs().values():
        mlflow.pyfunc.load_model(f"models:/{model_id(run)}")
        assert registered.client().search_model_versions(f"run_id = '{run.info.run_id}'")
    assert registered.register().added == []


DYING = """
import os, signal, sys
from mlflow import MlflowClient
from octavo_stages import register

method, calls = sys.argv[1], int(sys.argv[2])
real = getattr(MlflowClient, method)

def dying(*arguments, **options):
    global calls
    calls -= 1
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)

setattr(MlflowClient, method, dying)
register.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "call", "left"),
    [
        ("log_batch", 4, "RUNNING"),  # the second variant's parameters
        ("log_model_artifacts", 3, "RUNNING"),  # its model is begun and has no files
        ("log_model_artifacts", 4, "RUNNING"),  # its model has no card
        ("set_terminated", 2, "RUNNING"),  # everything but the end
        ("create_model_version", 2, "FINISHED"),
    ],
)
def test_what_a_killed_register_left_is_mended_without_duplicates(
    project: Project, method: str, call: int, left: str
) -> None:
    killed = subprocess.run([sys.executable, "-c", DYING, method, str(call)], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    mlflow.set_tracking_uri(connection.uri())
    assert runs()["litert_int8_static"].info.status == left
    assert set(versions()) == {"onnx_fp32"}

    assert project.register().added == ["litert_int8_static"]
    assert {run.info.status for run in runs().values()} == {"FINISHED"}
    assert {name: len(numbers) for name, numbers in versions().items()} == {"onnx_fp32": 1, "litert_int8_static": 1}
    models = project.client().search_logged_models([connection.experiment(project.client(), "octavo")])
    assert sorted(model.name or "" for model in models) == ["litert_int8_static", "onnx_fp32"]
    assert project.register().added == []


@pytest.mark.slow
def test_two_who_register_at_once_add_nothing_twice(project: Project, store: str, name: str) -> None:
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(re.sub(r"(experiment|model): octavo$", rf"\1: {name}", params, flags=re.MULTILINE))
    barrier, queue = FORKS.Barrier(2), FORKS.Queue()
    for _ in range(2):
        contenders.start(contenders.register_at_once, project.folder, store, barrier, queue)
    assert sorted(queue.get(timeout=PATIENCE) for _ in range(2)) == [[], ["onnx_fp32", "litert_int8_static"]]

    client, variants = MlflowClient(store), ["litert_int8_static", "onnx_fp32"]
    experiment = client.get_experiment_by_name(name)
    assert experiment
    place = [experiment.experiment_id]
    assert sorted(run.info.run_name for run in client.search_runs(place, run_view_type=ViewType.ALL)) == variants
    assert sorted(model.name or "" for model in client.search_logged_models(place)) == variants
    found = client.search_model_versions(f"name = '{name}'")
    assert sorted(version.tags["variant"] for version in found) == variants
    assert contenders.left(client, name) == [name]


def test_an_unfinished_run_is_replaced(registered: Project) -> None:
    digest = runs()["onnx_fp32"].data.tags["octavo.digest"]
    client = registered.client()
    client.delete_model_version("octavo", versions()["onnx_fp32"][0])
    client.set_terminated(runs()["onnx_fp32"].info.run_id, "KILLED")
    registered.register()
    assert runs()["onnx_fp32"].data.tags["octavo.digest"] == digest
    assert runs()["onnx_fp32"].info.status == "FINISHED"
    assert len(versions()["onnx_fp32"]) == 1


def test_the_store_lies_in_the_project_also_in_a_temporary_experiment(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = make_project("onnx_fp32")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "home"))
    project.register()
    assert (tmp_path / "home/mlflow.db").is_file()
    assert list((tmp_path / "home/mlruns").rglob("model.onnx"))
    assert not Path("mlruns").exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other/store.db")
    assert connection.uri() == f"sqlite:///{tmp_path}/home/other/store.db"


@pytest.mark.slow
def test_a_server_that_is_down_loses_nothing(project: Project, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    start = time.monotonic()
    sentence = r"127\.0\.0\.1:9 cannot be used: .*refused.*Nothing is lost"
    with pytest.raises(ServiceUnavailable, match=sentence) as failure:
        project.register()
    assert time.monotonic() - start < 60  # by itself MLflow would try for minutes
    assert "secret" not in str(failure.value)

    server = ["server", "--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "artifacts-of-server"]
    address = serve([*server, "--workers", "1"], "/health")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert project.register().added == ["onnx_fp32", "litert_int8_static"]
    assert project.register().added == []
    assert address in project.register().look
    assert set(runs()) == set(versions()) == {"onnx_fp32", "litert_int8_static"}
    assert list(Path("artifacts-of-server").rglob("model.tflite"))
    assert not Path("mlruns").exists()


@pytest.mark.parametrize("store", ["file:///tmp/mlruns", "foo://bar", "postgresql://127.0.0.1/none"])
def test_a_store_that_mlflow_refuses_gets_a_sentence(
    project: Project, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    with pytest.raises(ServiceUnavailable, match="cannot be used"):
        project.register()


def test_a_file_that_is_no_database_gets_a_sentence(project: Project) -> None:
    Path("mlflow.db").write_text("hello" * 1000)
    with pytest.raises(ServiceUnavailable, match="not a database"):
        project.register()


@pytest.mark.slow
def test_the_stage_says_what_it_did(project: Project) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-m", "octavo_stages.register"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("MLflow: 2 added (onnx_fp32, litert_int8_static), 0 unchanged. ")
    assert "mlflow server --backend-store-uri sqlite:///mlflow.db" in done.stderr
    down = environment | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    failed = subprocess.run(command, capture_output=True, text=True, check=False, env=down)
    assert failed.returncode == 3
    assert failed.stderr.startswith("octavo: MLflow at http://127.0.0.1:9 cannot be used")
