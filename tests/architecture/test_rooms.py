"""Rooms are small, say what they are for, and lie on a floor of the import contract."""

import ast
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source_tree import PACKAGES, ROOT

MOST = 12
"""Entries of a folder that one takes in at a glance."""
FOLDERS = sorted(
    {
        file.parent.relative_to(ROOT)
        for package, top in PACKAGES.items()
        for file in (ROOT / top / package).rglob("*.py")
    }
)


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_a_room_has_at_most_twelve_entries(folder: Path) -> None:
    entries = {path.name for path in (ROOT / folder).iterdir()} - {"__init__.py", "__pycache__"}
    assert len(entries) <= MOST, sorted(entries)


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_a_room_says_what_it_is_for(folder: Path) -> None:
    tree = ast.parse((ROOT / folder / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)


def test_every_room_has_a_floor() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = {contract["containers"][0]: contract["layers"] for contract in contracts if "containers" in contract}
    for package in ("octavo", "octavo_mlflow"):
        rooms = {folder.name for folder in FOLDERS if folder.parent == Path(PACKAGES[package], package)}
        assert {room for floor in layers[package] for room in floor.split(" | ")} == rooms
