"""The closure that the deps rule stands on finds what imports bring in, and nothing else."""

from pathlib import Path

import pytest

from tests.architecture.source_tree import closure, imports_inside_functions


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            "stages/octavo_stages/__init__.py": '"""Only words."""',
            "stages/fit.py": "import json\nfrom pipeline import heavy, plain\n",
            "pipeline/octavo/__init__.py": '"""Only words."""',
            "pipeline/heavy/__init__.py": "import os\n",
            "pipeline/heavy/network.py": "from octavo.project.errors import Failure\n",
            "pipeline/plain.py": "import pipeline.heavy.network\n",
            "pipeline/octavo/project/errors.py": "class Failure(Exception): ...\n",
            "pipeline/unused.py": "",
        },
    )
    return tmp_path


def names(root: Path, start: str) -> set[str]:
    return {file.as_posix() for file in closure(root, Path(start))}


def test_follows_packages_modules_and_names(tree: Path) -> None:
    assert names(tree, "stages/fit.py") == {
        "stages/fit.py",
        "pipeline/heavy/__init__.py",
        "pipeline/heavy/network.py",
        "pipeline/plain.py",
        "pipeline/octavo/project/errors.py",
    }


@pytest.mark.parametrize(
    "statement",
    [
        "import pipeline.unused",
        "import pipeline.unused as other",
        "from pipeline import unused",
        "from pipeline.unused import anything",
        "from . import unused",
        "from .unused import anything",
        "if True:\n    import pipeline.unused",
        "def late():\n    import pipeline.unused",
    ],
)
def test_finds_every_way_of_importing(tree: Path, statement: str) -> None:
    (tree / "pipeline/plain.py").write_text(statement, encoding="utf-8")
    assert "pipeline/unused.py" in names(tree, "stages/fit.py")


def test_relative_imports_of_a_package_start_at_the_package(tree: Path) -> None:
    (tree / "pipeline/heavy/__init__.py").write_text("from .network import x\nfrom ..unused import y", encoding="utf-8")
    assert {"pipeline/heavy/network.py", "pipeline/unused.py"} <= names(tree, "pipeline/heavy/__init__.py")


def test_typing_imports_and_cycles_do_no_harm(tree: Path) -> None:
    text = "from typing import TYPE_CHECKING\nimport stages.fit\nif TYPE_CHECKING:\n    import pipeline.unused\n"
    (tree / "pipeline/plain.py").write_text(text, encoding="utf-8")
    assert names(tree, "stages/fit.py") == {"stages/fit.py", "pipeline/plain.py", "pipeline/heavy/__init__.py"}


def test_a_package_file_counts_only_with_code(tree: Path) -> None:
    assert "pipeline/octavo/__init__.py" not in names(tree, "stages/fit.py")
    (tree / "pipeline/octavo/__init__.py").write_text('"""Words."""\nX = 1\n', encoding="utf-8")
    assert "pipeline/octavo/__init__.py" in names(tree, "stages/fit.py")


def test_imports_inside_functions_are_found_by_line(tree: Path) -> None:
    text = "import os\n\ndef f() -> None:\n    def g() -> None:\n        import json\n    from os import path\n"
    (tree / "pipeline/plain.py").write_text(text, encoding="utf-8")
    assert imports_inside_functions(tree, Path("pipeline/plain.py")) == [5, 6]
