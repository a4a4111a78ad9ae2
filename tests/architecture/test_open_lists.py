"""A format is asked through its backend: no code outside its own rooms compares its name or its suffix.

Likewise for tasks: the largest output is taken by the task alone.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from octavo.backends import registry
from tests.architecture.source_tree import ROOT, source_files

OWN = (
    Path("pipeline/octavo/backends/litert"),
    Path("pipeline/octavo/backends/onnxruntime"),
    Path("pipeline/octavo/quantization/recipes/litert"),
    Path("pipeline/octavo/quantization/recipes/onnx"),
)
NO_FORMATS = ("FORMER", "EXTRAS", "DOORS")
"""Constants whose keys are old names of recipes, extras, or suffixes of files that users bring; some of these are
called as formats are."""
TASKS = Path("pipeline/octavo/tasks")


def names() -> set[str]:
    return {each for form in registry.formats().values() for each in (form.name, form.title, form.suffix)}


def compared(node: ast.AST) -> Iterator[ast.expr]:
    """Constants that a statement tells cases apart by."""
    if isinstance(node, ast.Compare):
        for side in (node.left, *node.comparators):
            yield from side.elts if isinstance(side, ast.Tuple | ast.Set | ast.List) else [side]
    elif isinstance(node, ast.Dict):
        yield from filter(None, node.keys)
    elif isinstance(node, ast.MatchValue):
        yield node.value
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("startswith", "endswith"):
        yield from node.args


def switches(source: str) -> list[int]:
    """Lines in which a format's name, title or suffix decides."""
    tree = ast.parse(source)
    others = [
        node for node in tree.body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in NO_FORMATS
    ]
    left_out = {id(each) for node in others for each in ast.walk(node)}
    return [
        node.lineno  # type: ignore[attr-defined]
        for node in ast.walk(tree)
        if id(node) not in left_out
        for constant in compared(node)
        if isinstance(constant, ast.Constant) and constant.value in names()
    ]


def test_no_code_switches_on_the_name_or_the_suffix_of_a_format() -> None:
    found = [
        f"{file}:{line}"
        for file in source_files()
        if not any(file.is_relative_to(own) for own in OWN)
        for line in switches((ROOT / file).read_text(encoding="utf-8"))
    ]
    assert not found, f"Ask octavo.backends.registry instead: {', '.join(found)}"


def test_a_switch_is_found_in_each_of_its_forms() -> None:
    for line in (
        'x = path.suffix == ".onnx"',
        'x = form in ("onnx", "other")',
        'READERS = {".tflite": 1}',
        'x = name.startswith("litert")',
        'match form:\n    case "onnx":\n        pass',
    ):
        assert switches(line), line
    assert not switches('x = open("model.onnx")\nFORMER = {"onnx": "onnx_fp32"}')


def test_only_a_task_takes_the_largest_output() -> None:
    """Elsewhere `argmax` picks places, of an array that is no output."""
    found = [
        f"{file}:{node.lineno}"
        for file in source_files()
        if not file.is_relative_to(TASKS)
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "argmax" and (node.args or node.keywords)
    ]
    assert not found, f"Ask the task for answers, scores or same: {', '.join(found)}"
