"""Which of a project's own files a module runs, and that a folder of links to them shows every change."""

import sys
from pathlib import Path

import pytest

from octavo.project import project_code
from octavo.project.errors import ParamsError
from octavo.project.project_code import link, source_files


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's root, from which its modules are imported as `python -m` does."""
    root = tmp_path / "project"
    write(
        root,
        {
            "mine.py": "import json\nimport numpy\nimport blocks.conv\nfrom blocks import dense\nimport nowhere\n",
            "blocks/__init__.py": "",
            "blocks/conv.py": "from . import activations\nfrom .deep.norm import Norm\n",
            "blocks/dense.py": "def build():\n    import late\n",
            "blocks/activations.py": "import mine\n",
            "blocks/deep/norm.py": "Norm = 1\n",
            "late.py": "",
            "other.py": "",
        },
    )
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(root)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    project_code._top.cache_clear()
    project_code._imported.cache_clear()
    return root


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def names(module: str) -> list[str]:
    return [place.as_posix() for place in source_files(module)]


def test_it_follows_imports_of_every_kind_and_leaves_libraries_out(project: Path) -> None:
    assert names("mine") == [
        "blocks/__init__.py",
        "blocks/activations.py",
        "blocks/conv.py",
        "blocks/deep/norm.py",
        "blocks/dense.py",
        "late.py",
        "mine.py",
    ]
    assert names("blocks.deep.norm") == ["blocks/__init__.py", "blocks/deep/norm.py"]
    assert "mine" not in sys.modules


def test_what_a_module_of_a_library_imports_from_the_project_counts_and_a_virtual_environment_does_not(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "elsewhere", {"shared.py": "import late\nimport beside\n", "beside.py": ""})
    write(project, {".venv/lib/python3/site-packages/lib.py": "import late\n", "uses.py": "import lib\n"})
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    monkeypatch.syspath_prepend(project / ".venv/lib/python3/site-packages")
    assert names("shared") == ["late.py", "shared.py"]
    assert names("uses") == ["uses.py"]


@pytest.mark.parametrize("module", ["nowhere", "blocks.nowhere", "nowhere.blocks", "mine.part", ""])
def test_a_module_that_is_not_there_is_named(project: Path, module: str) -> None:
    with pytest.raises(ParamsError, match=f"No module '{module}' in "):
        link(module, Path("links"))
    assert not Path("links").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x = 1\ndef f(:\n", "late.py, line 2, is not valid Python: invalid syntax"),
        (b"\x00", "late.py.* is not valid Python: .*null bytes"),
        (b"# coding: nosuch\n", "late.py.* is not valid Python"),
    ],
)
def test_a_file_that_is_no_python_is_named_with_its_line(project: Path, content: bytes, said: str) -> None:
    (project / "late.py").write_bytes(content)
    with pytest.raises(ParamsError, match=said):
        source_files("mine")


def test_links_show_every_change_until_they_are_made_anew(project: Path) -> None:
    link("mine", Path("artifacts/network"))
    folder = project / "artifacts/network"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")} == set(names("mine"))
    assert not any(path.readlink().is_absolute() for path in folder.rglob("*.py"))
    (project / "blocks/conv.py").write_text("import other\n")
    assert (folder / "blocks/conv.py").read_text() == "import other\n"
    project_code._imported.cache_clear()
    link("mine", Path("artifacts/network"))
    assert (folder / "other.py").is_symlink()
    assert not (folder / "blocks/deep").exists()
