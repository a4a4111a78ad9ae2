"""Whatever foreign code raises or exits with becomes one sentence that says where."""

import errno
import sys
from pathlib import Path

import pytest

from octavo.project import foreign_code
from octavo.project.errors import ModelError, ParamsError

FAULTS = {
    "1 / 0": r"ZeroDivisionError: division by zero\.$",
    "sys.exit(0)": r"sys\.exit: 0\.$",
    "exit()": r"sys\.exit: None\.$",
    "raise ValueError('two\\nlines.')": r"ValueError: two lines\.$",
    "assert False": r"AssertionError\.$",
    "json.loads('{')": r"JSONDecodeError: Expecting property name .*",
    "raise OSError(2, 'gone', 'x.npy')": r"FileNotFoundError: .*x\.npy",
}


def run(line: str, folder: Path) -> None:
    file = folder / "mine.py"
    file.write_text(f"import json, sys\n\n{line}\n", encoding="utf-8")
    with foreign_code.code("The network"):
        exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), {})  # noqa: S102 - it stands for the user's


@pytest.mark.parametrize("line", FAULTS)
def test_a_fault_is_told_with_file_and_line(line: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=rf"^The network: .*mine\.py, line 3: {FAULTS[line]}"):
        run(line, tmp_path)


def test_a_syntax_error_is_told_at_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"mine\.py, line 4: SyntaxError: "):
        run("x = 1\ny = = 2", tmp_path)


def test_the_place_is_the_users_deepest_line_not_the_librarys(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"mine\.py, line 4: FileNotFoundError"):
        run("def load():\n    return json.load(open('/nowhere'))\nload()", tmp_path)


def test_a_file_in_the_package_can_be_the_users_own(tmp_path: Path) -> None:
    with pytest.raises(AttributeError) as raised:
        foreign_code.told(None)  # type: ignore[arg-type]
    assert foreign_code.told(raised.value).startswith(f"{Path(__file__).relative_to(Path.cwd())}, line ")
    own = Path(foreign_code.__file__)
    assert Path(foreign_code.told(raised.value, own).partition(", line")[0]).name == own.name


def test_a_long_message_is_cut() -> None:
    assert len(foreign_code.told(ValueError("x" * 10_000))) < 400


def test_what_no_code_can_help_passes() -> None:
    for fault in (KeyboardInterrupt(), MemoryError(), OSError(errno.ENOSPC, "full"), ModelError("named already")):
        with pytest.raises(type(fault)) as caught, foreign_code.code("The network"):
            raise fault
        assert caught.value is fault


def test_the_kind_of_error_and_the_next_step_are_the_callers() -> None:
    with (
        pytest.raises(ModelError, match=r"^It cannot be read: .*sys\.exit: 3\. Read it anew\.$"),
        foreign_code.code("It cannot be read", ModelError, advice="Read it anew."),
    ):
        sys.exit(3)
