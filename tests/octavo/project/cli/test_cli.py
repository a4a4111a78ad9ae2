"""The `octavo` command: what it lists, what it imports, how it ends."""

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from octavo.project import cli

COMMANDS = '''
import click
from octavo.project.errors import PromotionRefused, ServiceUnavailable

print("imported")

@click.command()
@click.argument("name")
def command(name: str) -> None:
    """Greet somebody.

    And more.
    """
    print(f"hello {name}")

@click.command()
def refuse() -> None:
    raise PromotionRefused("accuracy fell by 2 points, 1 is allowed")

@click.command()
def reach() -> None:
    raise ServiceUnavailable("MLflow does not answer")
'''


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three commands of a module that tells when it is imported."""
    (tmp_path / "greetings.py").write_text(COMMANDS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "greetings", raising=False)
    group = "octavo.commands"
    known = {"greet": "command", "refuse": "refuse", "reach": "reach"}
    entries = EntryPoints(EntryPoint(name, f"greetings:{attr}", group) for name, attr in known.items())
    monkeypatch.setattr(cli, "entry_points", entries.select)


def octavo(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    """Run the command line; its exit code."""
    monkeypatch.setattr(sys, "argv", ["octavo", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


@pytest.mark.usefixtures("commands")
class TestCommandLine:
    def test_help_lists_commands_without_importing_them(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert octavo(monkeypatch, "--help") == 0
        out = capsys.readouterr().out
        assert "greet   Greet somebody." in out
        assert "imported" not in out

    def test_a_command_runs(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        assert not octavo(monkeypatch, "greet", "Ada")
        assert capsys.readouterr().out == "imported\nhello Ada\n"

    def test_an_unknown_command_lists_the_known(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert octavo(monkeypatch, "grete") == 1
        assert "Unknown command 'grete'. Did you mean 'greet'? Known: greet, reach, refuse." in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [(), ("greet",), ("greet", "--loud", "Ada"), ("--loud",)])
    def test_wrong_usage_is_the_users_mistake(
        self, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
    ) -> None:
        assert octavo(monkeypatch, *arguments) == 1

    @pytest.mark.parametrize(
        ("name", "code", "said"),
        [
            ("refuse", 2, "octavo: accuracy fell by 2 points, 1 is allowed\n"),
            ("reach", 3, "octavo: MLflow does not answer\n"),
        ],
    )
    def test_failures_end_with_their_sentence_and_code(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, code: int, said: str
    ) -> None:
        assert octavo(monkeypatch, name) == code
        assert capsys.readouterr().err == said


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert octavo(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.startswith("octavo, version ")


def test_compare_starts_without_the_heavy_libraries(tmp_path: Path) -> None:
    script = (
        "import sys; from octavo.project.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: print(stop.code)\n"
        "print(sorted({'mlflow', 'tensorflow', 'onnxruntime', 'dvc', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "compare"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n[]\n"
    assert done.stderr.startswith(f"octavo: No params.yaml in {tmp_path}, so it is no project. ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["promote", "--no-such"], "No such option '--no-such'"),
        (["promote", "--force"], "name all three: VARIANT --force --reason"),
        (["audit", "--yes"], "--yes and --reason need --repair."),
        (["replay", "first"], "'first' is not a valid integer"),
        (["rollback", "1", "2"], "unexpected extra argument"),
    ],
)
def test_wrong_arguments_are_told_before_mlflow_is_imported(arguments: list[str], said: str) -> None:
    script = (
        "import sys; from octavo.project.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: print(stop.code, 'mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"
    assert said in done.stderr


def test_a_question_with_stdin_closed_is_told_without_a_traceback(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.stdin = None; from octavo.project.cli import main; main()", "init"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("Nothing was written. To be asked nothing: octavo init --yes.\n")
    assert [path.name for path in tmp_path.iterdir()] == [".git"]
