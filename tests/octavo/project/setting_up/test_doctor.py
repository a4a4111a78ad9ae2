"""`octavo doctor` has a line for everything it looks at: ok, or what to type."""

import json
import subprocess
from importlib.metadata import EntryPoint, EntryPoints, metadata
from pathlib import Path

import pytest

from octavo.backends import latency
from octavo.backends.onnxruntime import exact_sums
from octavo.evaluation import instruction_sets
from octavo.project import extras
from octavo.project.errors import OctavoError
from octavo.project.files import dvc_rwlock
from octavo.project.setting_up.examination import doctor, environment_checks, installed_checks, project_checks
from octavo.project.setting_up.examination.check_result import CheckResult
from tests.octavo.project.setting_up.conftest import Run

GROUP = "octavo.checks"


@pytest.fixture
def here(with_dvc: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a commit, examined without the checks of other rooms and without running DVC."""
    monkeypatch.setattr(doctor, "entry_points", EntryPoints([]).select)
    monkeypatch.setattr(environment_checks, "_dvc", lambda: CheckResult("DVC", "set up"))
    commit = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "one", "--allow-empty"]
    subprocess.run(commit, check=True, cwd=with_dvc)
    return with_dvc


def lines(run: Run, *arguments: str) -> dict[str, str]:
    """What is printed: name -> the whole line. Names have at most one word here."""
    return {line.split()[1]: line for line in run("doctor", *arguments).stdout.splitlines()}


def test_where_all_is_well_every_line_is_ok(here: Path, run: Run) -> None:
    assert run("init", "--yes").exit_code == 0
    done = run("doctor")
    assert done.exit_code == 0, done.output
    assert all(line.startswith("ok") for line in done.stdout.splitlines())
    assert {"Python", "octavo", "[train]", "git", "DVC", "disk", "params.yaml", "dvc.yaml"} <= lines(run).keys()
    found = json.loads(run("doctor", "--json").stdout)
    assert found["ok"]
    assert {"name": "DVC", "ok": True, "found": "set up", "todo": None} in found["findings"]


def test_an_old_pipeline_and_wrong_params_say_what_to_type(here: Path, run: Run) -> None:
    assert run("init", "--yes").exit_code == 0
    (here / "dvc.yaml").write_text((here / "dvc.yaml").read_text().replace("four splits", "splits"))
    (here / "params.yaml").write_text((here / "params.yaml").read_text().replace("rounds: 30", "rounds: 3"))
    done = run("doctor")
    assert isinstance(done.exception, OctavoError)
    assert done.exception.exit_code == 1
    found = lines(run)
    assert found["dvc.yaml"].endswith("Run: octavo upgrade")
    assert "benchmark.rounds" in found["params.yaml"]
    assert found["params.yaml"].startswith("->")


def test_a_lock_that_is_left_behind_is_mended(here: Path, run: Run) -> None:
    dvc_rwlock.path().parent.mkdir()
    dvc_rwlock.path().touch()
    assert "every dvc repro stops at it. Run: octavo doctor --mend" in run("doctor").stdout
    assert run("doctor", "--mend").exit_code == 0
    assert not dvc_rwlock.path().exists()


def test_a_repair_that_fails_is_told(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_checks, "check", lambda: [CheckResult("x", "broken", "mend it", lambda: None)])
    assert "The repair failed" in str(run("doctor", "--mend").exception)


def test_git_without_repository_or_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Run: git init" in [each.todo for each in environment_checks.check()]
    subprocess.run(["git", "init", "--quiet"], check=True)
    assert "Run: git add . && git commit" in [each.todo for each in environment_checks.check()]
    monkeypatch.setenv("PATH", "")
    assert "git" in [each.name for each in environment_checks.check() if "Install git" in each.todo]


def test_a_full_disk(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_checks, "LEAST_FREE", 1e18)
    assert lines(run)["disk"].startswith("->")


def test_extras_that_the_project_needs_must_be_there_and_fit(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = installed_checks._version
    changed = {"dvc": None, "tensorflow": "2.16.1", "model-signing": None, "pyopenssl": None, "cryptography": None}
    monkeypatch.setattr(installed_checks, "_version", lambda name: changed.get(name, known(name)))
    assert run("init", "--yes").exit_code == 0
    found = lines(run)
    assert found["[dvc]"] == "->  [dvc]       not installed, and the project needs it. Run: pip install 'octavo[dvc]'"
    assert "tensorflow 2.16.1 is installed, and Octavo needs" in found["[train]"]
    assert found["[signing]"].startswith("ok")
    listed = set(metadata("octavo").get_all("Provides-Extra") or ()) & extras.EXTRAS.keys()
    assert listed == {name.strip("[]") for name in found if name.startswith("[")}


def test_a_room_whose_extra_is_missing_is_left_out(
    here: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_mlflow.py").write_text("raise ModuleNotFoundError('no', name='mlflow')")
    (tmp_path / "refuses.py").write_text(
        "from octavo.project.errors import OctavoError\ndef check():\n    raise OctavoError('It is odd.')\n    yield"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = EntryPoints(EntryPoint(name, f"{name}:check", GROUP) for name in ("needs_mlflow", "refuses"))
    monkeypatch.setattr(doctor, "entry_points", entries.select)
    found = lines(run)
    assert "needs_mlflow" not in found
    assert found["refuses"] == "->  refuses     It is odd. Correct that, then run octavo doctor again."


@pytest.mark.parametrize(
    ("sets", "cut_off", "told"),
    [
        (["avx2"], True, ("no VNNI", "exact sums")),
        (["avx2", "avx512_vnni"], False, ("avx512_vnni: integer products", "sums are exact")),
        (["asimd", "asimddp"], False, ("asimddp: integer products", "sums are exact")),
    ],
)
def test_what_follows_from_the_cpu(
    monkeypatch: pytest.MonkeyPatch, sets: list[str], cut_off: bool, told: tuple[str, str]
) -> None:
    machine = {"cpu": "a chip", "cores": 2, "instruction_sets": sets}
    monkeypatch.setattr(latency, "describe_machine", lambda: machine)
    monkeypatch.setattr(exact_sums, "cut_off_here", lambda: cut_off)
    cpu, *integers = instruction_sets.check()
    assert cpu.said == f"a chip, 2 cores; {', '.join(sets)}"
    assert all(word in found.said for word, found in zip(told, integers, strict=True))
