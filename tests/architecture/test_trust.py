"""Nothing that is read is run: no pickle, no evaluated text, no shell, no model by its framework's own loader.

Each rule is shown a sentence that breaks it, so that none is dead.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT, source_files

PICKLES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
EVALUATED = {"__import__", "compile", "eval", "exec"}
SHELLS = {"os.popen", "os.system", "subprocess.getoutput", "subprocess.getstatusoutput"}
UNPACKED = {"extract", "extractall", "unpack_archive"}
REQUESTS = {
    f"{client}.{verb}" for client in ("requests", "httpx") for verb in ("get", "head", "post", "put", "request")
}
EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - what must not be


def imports(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    return {(node.module or "").partition(".")[0]} if isinstance(node, ast.ImportFrom) else set()


def called(node: ast.AST) -> str:
    """The dotted name of what is called, as it is written; nothing where nothing is called."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def last(node: ast.AST) -> str:
    return called(node).rpartition(".")[2]


def given(node: ast.AST, name: str) -> str | None:
    """The argument of that name, as it is written."""
    keywords = node.keywords if isinstance(node, ast.Call) else []
    return next((ast.unparse(keyword.value) for keyword in keywords if keyword.arg == name), None)


RULES: dict[str, tuple[Callable[[ast.AST], bool], list[str]]] = {
    "pickle": (
        lambda node: bool(imports(node) & PICKLES) or last(node) in ("read_pickle", "to_pickle"),
        ["import pickle", "from joblib import load", "pandas.read_pickle(path)"],
    ),
    "arrays that may hold pickles": (
        lambda node: last(node) == "load" and given(node, "allow_pickle") not in (None, "False"),
        ["np.load(path, allow_pickle=True)", "np.load(path, allow_pickle=trusted)"],
    ),
    "text that is run": (lambda node: called(node) in EVALUATED, ["eval(text)", "exec(code)"]),
    "YAML that builds objects": (
        lambda node: called(node) in ("yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all"),
        ["yaml.load(text, Loader)", "yaml.unsafe_load(text)"],
    ),
    "a shell": (
        lambda node: called(node) in SHELLS or given(node, "shell") not in (None, "False"),
        ["os.system(command)", "subprocess.run(command, shell=True)", "subprocess.Popen(command, shell=there)"],
    ),
    "a model by its framework's loader": (
        lambda node: (
            last(node) in ("load_model", "model_from_json", "deserialize_keras_object")
            or called(node).endswith("saved_model.load")
        ),
        ["keras.models.load_model(path)", "mlflow.pyfunc.load_model(uri)", "tf.saved_model.load(path)"],
    ),
    "an archive unpacked as it says": (lambda node: last(node) in UNPACKED, ["archive.extractall(folder)"]),
    "a request without end": (
        lambda node: (last(node) == "urlopen" or called(node) in REQUESTS) and given(node, "timeout") in (None, "None"),
        ["urlopen(url)", "urllib.request.urlopen(url)", "requests.get(url, timeout=None)"],
    ),
    "a certificate not looked at": (
        lambda node: given(node, "verify") == "False" or last(node) == "_create_unverified_context",
        ["requests.get(url, timeout=5, verify=False)", "ssl._create_unverified_context()"],
    ),
    "a server for everybody": (
        lambda node: isinstance(node, ast.Constant) and node.value in EVERYWHERE,
        ['serve("0.0.0.0")', 'serve(host="::")'],
    ),
    "a name for a file that another may take": (lambda node: last(node) == "mktemp", ["tempfile.mktemp()"]),
}
ALLOWED: dict[str, str] = {}
"""`file: its line` -> why it may stand."""


def broken(tree: ast.AST, breaks: Callable[[ast.AST], bool]) -> Iterator[int]:
    return (getattr(node, "lineno", 0) for node in ast.walk(tree) if breaks(node))


@pytest.fixture(scope="module")
def sources() -> dict[Path, tuple[list[str], ast.Module]]:
    """Lines and syntax of every file that runs outside tests."""
    others = (path.relative_to(ROOT) for top in ("benchmarks", "examples") for path in (ROOT / top).rglob("*.py"))
    files = [*source_files(), *others]
    texts = {file: (ROOT / file).read_text(encoding="utf-8") for file in files}
    return {file: (text.splitlines(), ast.parse(text)) for file, text in texts.items()}


@pytest.mark.parametrize("rule", RULES)
def test_the_source_keeps_the_rule(rule: str, sources: dict[Path, tuple[list[str], ast.Module]]) -> None:
    places = [
        f"{file}: {lines[line - 1].strip()}"
        for file, (lines, tree) in sources.items()
        for line in broken(tree, RULES[rule][0])
    ]
    assert [place for place in places if place not in ALLOWED] == []


@pytest.mark.parametrize(("rule", "sentence"), [(rule, each) for rule, (_, bad) in RULES.items() for each in bad])
def test_the_rule_sees_what_breaks_it(rule: str, sentence: str) -> None:
    assert [*broken(ast.parse(sentence), RULES[rule][0])] == [1]
