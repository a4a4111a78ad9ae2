"""Two promotions at the same moment: one wins, and the other says why it does not."""

import contextlib
import io
import multiprocessing
import os
import sys
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from uuid import uuid4

import mlflow
import pytest

from octavo.evaluation.scorecard import load_scorecards
from octavo.project import cli, paths
from octavo.project.params.params import load_params
from octavo_mlflow.promotion.promote import Wish, move_champion
from octavo_mlflow.registry.standing import state
from tests.octavo_mlflow.measured_project import MakeProject

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["octavo_mlflow.promotion.promote"])
ROUNDS = {"sqlite": 3, "server_sqlite": 3, "server_postgresql": 50 if "OCTAVO_EXAMPLES" in os.environ else 4}
"""More where CI has a night's time."""
PATIENCE = 120
BASELINE, RIVALS = "onnx_fp32", ("onnx_int8_static", "litert_int8_static")
THIRD = Wish("onnx_int8_dynamic", forced="neither rival is champion when they start")
"""Were a rival champion, it could win again, and the other after it: to promote the champion anew changes nothing."""


def rival(
    folder: str, uri: str, variant: str, rounds: int, barrier: Barrier, answers: "Queue[tuple[int, str, str]]"
) -> None:
    """Type `octavo promote` at the same moment as the other, again and again."""
    os.chdir(folder)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    client = mlflow.MlflowClient(uri)
    model = load_params().registry.model
    for _ in range(rounds):
        barrier.wait(PATIENCE)
        champion = state(client, model).champion or "none"
        sys.argv = ["octavo", "promote", variant, "--anchor", "--expect", champion]
        said = io.StringIO()
        barrier.wait(PATIENCE)
        code: object = None
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            try:
                cli.main()
            except SystemExit as ended:
                code = ended.code or 0
        answers.put((int(str(code)), variant, said.getvalue()))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_wins_and_the_other_says_why(
    make_project: MakeProject, store: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(BASELINE, str(THIRD.variant), *RIVALS)
    name = f"race-{uuid4().hex[:8]}"
    text = (project.folder / "params.yaml").read_text()
    (project.folder / "params.yaml").write_text(
        text.replace("  experiment: octavo", f"  experiment: {name}").replace("  model: octavo", f"  model: {name}")
    )
    project.params = load_params()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    project.register()
    rounds = ROUNDS[request.node.callspec.params["store"]]
    client, scorecards = mlflow.MlflowClient(store), load_scorecards(paths.SCORECARDS)
    barrier, answers = FORKS.Barrier(len(RIVALS) + 1), FORKS.Queue()
    arguments = [(str(project.folder), store, variant, rounds, barrier, answers) for variant in RIVALS]
    processes = [FORKS.Process(target=rival, args=each, daemon=True) for each in arguments]
    for process in processes:
        process.start()
    for _ in range(rounds):
        move_champion(client, project.params, scorecards, THIRD)
        barrier.wait(PATIENCE)
        barrier.wait(PATIENCE)
        round_ = sorted(answers.get(timeout=PATIENCE) for _ in RIVALS)
        assert [code for code, _, _ in round_] == [0, 2], round_
        (_, _, said) = round_[1]
        assert "while it was judged, the champion of" in said or "Nothing is promoted: the champion of" in said
    for process in processes:
        process.join(PATIENCE)
