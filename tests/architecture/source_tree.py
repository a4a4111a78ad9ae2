"""The project's own Python files, and the names that they import. Imports under `if TYPE_CHECKING:` do not count."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {"octavo": "pipeline", "octavo_stages": "stages", "octavo_mlflow": "mlflow_plugins"}
"""Each package, and the source root that it lies in."""


def source_files() -> list[Path]:
    """Every first-party Python file, relative to `ROOT`."""
    return sorted(file.relative_to(ROOT) for top in PACKAGES.values() for file in (ROOT / top).rglob("*.py"))


def stage_names() -> list[str]:
    return sorted(file.stem for file in (ROOT / "stages/octavo_stages").glob("*.py") if file.stem != "__init__")


def imported_names(root: Path, file: Path) -> Iterator[str]:
    """Dotted names that `file` imports; of `from a import b` both `a` and `a.b`, since `b` may be a module."""
    package = (_dotted(file) if file.name == "__init__.py" else _dotted(file.parent)).split(".")
    for node in _running_nodes(_parse(root / file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_inside_functions(root: Path, file: Path) -> list[int]:
    """Line numbers of the import statements that stand inside a function."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return sorted(
        {
            node.lineno
            for function in ast.walk(_parse(root / file))
            if isinstance(function, functions)
            for node in ast.walk(function)
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
    )


def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def _running_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield from (other, *_running_nodes(other))
        else:
            yield from (node, *_running_nodes(node))


def _dotted(file: Path) -> str:
    parts = file.with_suffix("").parts[1:]  # without the source root
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
