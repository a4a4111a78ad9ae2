"""One name for one thing: a class that two modules define is two things, and a reader of one finds the other."""

import ast
from collections import defaultdict
from pathlib import Path

from tests.architecture.source_tree import ROOT, source_files

OF_A_CONTRACT = {"Options": Path("pipeline/octavo/quantization/recipes")}
"""Names that each module of a folder defines, since that is how the folder's modules are used."""


def test_no_class_name_is_defined_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file in source_files():
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not _belongs(node.name, file):
                places[node.name].append(f"{file}:{node.lineno}")
    assert places
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
    assert not places.keys() & OF_A_CONTRACT.keys(), "a reader takes it for the contract's"


def _belongs(name: str, file: Path) -> bool:
    return name in OF_A_CONTRACT and file.is_relative_to(OF_A_CONTRACT[name])
