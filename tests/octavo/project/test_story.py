"""A stage says what came of it on one line; what libraries write is kept, and shown where it fails unexpectedly."""

import subprocess
import sys
from pathlib import Path

import pytest

STAGE = """\
import os, sys, warnings
from octavo.project import story
story.quiet()
from octavo.project.errors import ModelError

print("chatter of Python", file=sys.stderr)
os.write(2, b"chatter of C++\\n")
warnings.warn("a deprecation")

@story.stage
def main(how):
    story.say("halfway")
    if how == "mistake":
        raise ModelError("No model. Run dvc repro.")
    if how == "bug":
        raise ZeroDivisionError("by zero")
    if how == "crash":
        os.abort()
    if how == "exit":
        sys.exit(7)
    with story.counter("count", 2) as advance:
        advance()
    return "done"

main(sys.argv[1])
"""


def run(folder: Path, how: str) -> subprocess.CompletedProcess[str]:
    (folder / "stage.py").write_text(STAGE)
    return subprocess.run([sys.executable, "stage.py", how], cwd=folder, capture_output=True, text=True, check=False)


def test_a_stage_that_ends_well_says_one_line_with_its_seconds(tmp_path: Path) -> None:
    done = run(tmp_path, "well")
    assert (done.returncode, done.stdout) == (0, "")
    first, last = done.stderr.splitlines()
    assert first == "halfway"
    assert last.startswith("done (")
    assert last.endswith(" s)")


def test_a_mistake_is_one_sentence_without_chatter(tmp_path: Path) -> None:
    done = run(tmp_path, "mistake")
    assert (done.returncode, done.stderr) == (1, "halfway\noctavo: No model. Run dvc repro.\n")


@pytest.mark.parametrize(("how", "said"), [("bug", "ZeroDivisionError: by zero"), ("crash", "Fatal Python error")])
def test_an_unexpected_end_is_shown(tmp_path: Path, how: str, said: str) -> None:
    done = run(tmp_path, how)
    assert done.returncode != 0
    assert said in done.stderr
    assert 'File "' in done.stderr
    assert "done (" not in done.stderr


def test_what_libraries_wrote_is_shown_with_an_unexpected_error(tmp_path: Path) -> None:
    said = run(tmp_path, "bug").stderr
    assert all(words in said for words in ("chatter of Python", "chatter of C++", "a deprecation"))
    assert said.index("chatter of Python") < said.index("Traceback")


def test_an_exit_keeps_its_code(tmp_path: Path) -> None:
    assert run(tmp_path, "exit").returncode == 7
