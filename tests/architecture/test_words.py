"""Docstrings of public functions say what their arguments are, and more than the function's name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source_tree import PACKAGES, ROOT

MANY = 3
"""A function with this many arguments has a section `Args:`."""
COMMANDS = ("argument", "command", "option")
"""Decorators of click: the options themselves say what they are, and the docstring is the help text."""
OVERRIDE = "Gatekeeper"
"""Its methods have the names and arguments of MLflow's registry store."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[Path]:
    """First-party modules, relative to the repository."""
    return sorted(file.relative_to(ROOT) for top in PACKAGES.values() for file in (ROOT / top).rglob("*.py"))


def public(node: ast.AST) -> Iterator[Function]:
    """Public functions, and public methods of public classes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function) and not child.name.startswith("_"):
            yield child
        elif isinstance(child, ast.ClassDef) and not child.name.startswith("_") and child.name != OVERRIDE:
            yield from public(child)


def arguments(function: Function) -> list[str]:
    """Names of the arguments, without the object or class of a method."""
    given = function.args
    names = [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg) if arg]
    return [name for name in names if name not in ("self", "cls")]


def is_command(function: Function) -> bool:
    return any(
        isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr in COMMANDS
        for each in function.decorator_list
    )


def unlisted(function: Function) -> list[str]:
    """Arguments that the docstring's section `Args:` does not name; all of them if there is no such section."""
    _, _, section = (ast.get_docstring(function) or "").partition("Args:\n")
    listed = re.findall(r"^ {4}(\*{0,2}\w[\w, *]*):", section, re.MULTILINE)
    named = {name.strip(" *") for each in listed for name in each.split(",")}
    return [name for name in arguments(function) if name not in named]


def only_repeats_the_name(function: Function) -> bool:
    """Whether the docstring has no other word than the function's name, its plurals and articles."""
    said = re.findall(r"[a-z0-9]+", (ast.get_docstring(function) or "").lower())
    name = {word.rstrip("s") for word in function.name.split("_")} | {"a", "an", "the", "it", "of"}
    return bool(said) and all(word.rstrip("s") in name for word in said)


def faults(source: str) -> Iterator[str]:
    for function in public(ast.parse(source)):
        if len(arguments(function)) >= MANY and not is_command(function) and (missing := unlisted(function)):
            yield f"line {function.lineno}: {function.name} does not explain {', '.join(missing)} under Args:"
        if only_repeats_the_name(function):
            yield f"line {function.lineno}: the docstring of {function.name} only repeats its name"


def test_docstrings_explain_arguments_and_say_more_than_the_name() -> None:
    found = {file: list(faults((ROOT / file).read_text(encoding="utf-8"))) for file in modules()}
    assert len(found) > 100
    assert {str(file): each for file, each in found.items() if each} == {}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('def f(a, b, c):\n    """Add."""', "line 1: f does not explain a, b, c under Args:"),
        (
            'def f(a, *b, **c):\n    """Add.\n\n    Args:\n        a: x.\n        **c: x.\n    """',
            "f does not explain b under",
        ),
        ('class A:\n    def f(self, a, b, *, c):\n        """Add."""', "line 2: f does not explain a, b, c"),
        ('def load_split(a):\n    """Load a split."""', "load_split only repeats its name"),
        ("def f(a, b, c): ...", "f does not explain a, b, c"),
    ],
)
def test_what_is_missing_is_found(source: str, told: str) -> None:
    (found,) = faults(source)
    assert told in found


@pytest.mark.parametrize(
    "source",
    [
        'def f(a, b, c):\n    """Add.\n\n    Args:\n        a: x.\n        b, c: x.\n    """',
        'def _f(a, b, c):\n    """Add."""',
        '@click.command()\ndef f(a, b, c):\n    """Add."""',
        'def load_split(a):\n    """Load the arrays of a split."""',
        "def now(): ...",
    ],
)
def test_what_is_explained_passes(source: str) -> None:
    assert list(faults(source)) == []
