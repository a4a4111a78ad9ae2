"""Digests of code: the content of all modules that a stage runs, and the versions of the libraries it uses.

DVC must know which code each stage runs. A digest replaces a list of files: each stage of `dvc.yaml` has its own key of
`artifacts/code.json` among its params. So a stage runs again if its code has changed, and only then.

A digest starts at one module, follows all import statements, and covers:

- the content of Octavo's and the project's modules, of templates next to them, and of other modules that are not part
  of an installed library, such as those in a folder of PYTHONPATH;
- the versions of installed libraries. It does not cover the dependencies of these libraries, Python or the operating
  system.

If a module imports others by a computed name, or starts them as a process, it must declare them as a tuple of
patterns, such as `IMPORTED_BY_NAME = ("octavo.backends.*.backend",)`. Data files that a module reads are not covered.
"""

import ast
import hashlib
import pkgutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from octavo.project.errors import ParamsError

OWN = ("octavo", "octavo_stages", "octavo_mlflow")
"""Octavo's packages. Their content counts wherever they are installed."""
INSTALLED = ("site-packages", "dist-packages")
"""Folders of installed libraries. A virtual environment is often inside the project's folder, but not part of it."""
STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]
TEMPLATES = "templates"
"""Folder of a package with templates that its modules render."""


BY_NAME = "IMPORTED_BY_NAME"
"""The constant where a module declares its imports by a computed name."""


class Code(NamedTuple):
    """The code that one or more modules run."""

    files: dict[str, Path]
    """Name -> file. A module has its dotted name; a template has the name of its package and of its file."""
    libraries: frozenset[str]
    """Installed packages, by their import name."""

    def digest(self) -> str:
        """SHA-256 over the contents of the files and the versions of the libraries."""
        lines = [f"{name} {_sha256(path)}" for name, path in sorted(self.files.items())]
        lines += [f"{name} {version(name)}" for name in sorted(_distributions(self.libraries))]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class _Module(NamedTuple):
    name: str
    file: Path | None
    """None for built-in modules and packages without `__init__.py`."""
    package: str
    """The package that its relative imports are relative to."""


def code_of(*modules: str) -> Code:
    """Collect the code that these modules run: the modules themselves and all that they import, directly or not.

    Raises:
        ParamsError: there is no such module, or a file is not valid Python.
    """
    parts = [_code_of_one(module) for module in modules]
    files = {name: path for part in parts for name, path in part.files.items()}
    return Code(files, frozenset[str]().union(*(part.libraries for part in parts)))


@cache
def _code_of_one(module: str) -> Code:
    start = _run_by(module)
    if not start or start[-1].name != module:
        raise ParamsError(f"No module '{module}' in {Path.cwd()} or among the installed packages.")
    waiting = [each for each in start if each is start[-1] or _is_read(each)]
    files: dict[str, Path] = {}
    libraries: set[str] = set()
    while waiting:
        name, file, package = waiting.pop()
        if file is None or name in files:
            continue
        files[name] = file
        files |= _templates(name, file)
        modules, used = _run_from(file, package)
        waiting += modules
        libraries |= used
    return Code(files, frozenset(libraries - sys.stdlib_module_names))


@cache
def _run_from(file: Path, package: str) -> tuple[tuple[_Module, ...], frozenset[str]]:
    """What the imports in a file run: the modules whose content counts, and the import names of installed libraries."""
    found = {name: _run_by(name) for name in _imported(file, package)}
    modules = dict.fromkeys(each for run in found.values() for each in run if _is_read(each))
    libraries = {name.partition(".")[0] for name, run in found.items() if run and not _is_read(run[-1])}
    return tuple(modules), frozenset(libraries)


@cache
def _run_by(name: str) -> list[_Module]:
    """The modules that run when `name` is imported: its packages, outermost first, and itself, as far as they exist.

    For an installed library, only the outermost package.
    """
    parts = name.split(".")
    modules: list[_Module] = []
    spec = _top(parts[0])
    for depth, part in enumerate(parts[1:], 1):
        if spec is None:
            break
        modules.append(_module(".".join(parts[:depth]), spec))
        if modules[-1].file is not None and not _is_read(modules[-1]):
            return modules
        below = spec.submodule_search_locations
        spec = PathFinder.find_spec(part, list(below)) if below is not None else None
    return modules if spec is None else [*modules, _module(name, spec)]


def _module(name: str, spec: ModuleSpec) -> _Module:
    file = Path(spec.origin).absolute() if spec.has_location and spec.origin else None
    return _Module(name, file, name if spec.submodule_search_locations is not None else name.rpartition(".")[0])


@cache
def _top(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name) if name else None
    except (ImportError, ValueError):  # ValueError: a module that was created at run time
        return None


@cache
def _is_read(module: _Module) -> bool:
    """Whether the module's content counts: it is Octavo's, or not part of an installed library."""
    if module.name.partition(".")[0] in OWN:
        return True
    file = module.file
    return not (file is None or file.is_relative_to(STANDARD_LIBRARY) or set(INSTALLED) & set(file.parts))


@cache
def _templates(name: str, file: Path) -> dict[str, Path]:
    """Templates that a module can use: those of its package and of all parent packages."""
    found = {}
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    folder = file.parent
    while package:
        for path in sorted((folder / TEMPLATES).glob("*.j2")):
            found[f"{package}/{path.name}"] = path
        package, folder = package.rpartition(".")[0], folder.parent
    return found


@cache
def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _by_import() -> dict[str, list[str]]:
    return {name: sorted(set(found)) for name, found in packages_distributions().items()}


def _distributions(libraries: Iterable[str]) -> set[str]:
    """The distributions that install these packages. All count if there are several, as for `google`."""
    return {distribution for library in libraries for distribution in _by_import().get(library, ())}


def _imported(file: Path, package: str) -> tuple[str, ...]:
    """Dotted names that a file imports. `from a import b` gives both `a` and `a.b`, because `b` can be a module."""
    if file.suffix != ".py":
        return ()
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes
        line = f", line {error.lineno}," if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else error
        raise ParamsError(f"{file}{line} is not valid Python: {said}. Correct it, then run dvc repro.") from None
    return tuple(dict.fromkeys(_names(tree, package)))


def _names(tree: ast.Module, package: str) -> Iterator[str]:
    for node in _statements(tree):
        if isinstance(node, ast.Assign) and BY_NAME in {getattr(name, "id", None) for name in node.targets}:
            yield from (name for pattern in ast.literal_eval(node.value) for name in _matching(pattern))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements, also inside other statements. `ast.walk` also visits expressions, which takes twice as long."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, block, ())


def _matching(pattern: str) -> Iterator[str]:
    """The modules that match a pattern: `package.module` is itself; `package.*` and `package.*.module` have one `*`."""
    package, star, rest = pattern.partition(".*")
    if not star:
        yield pattern
        return
    folders = [str(each.file.parent) for each in _run_by(package) if each.name == package and each.file]
    for module in pkgutil.iter_modules(folders):
        if module.ispkg or not rest:
            yield f"{package}.{module.name}{rest}"
