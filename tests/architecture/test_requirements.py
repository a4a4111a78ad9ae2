"""What is imported is declared, for the extra that covers the room; the base install needs none of them."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest
import tomlkit
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from octavo.project import extras
from tests.architecture.source_tree import PACKAGES, ROOT, imported_names, source_files

COVERS: dict[str, tuple[str, ...]] = {
    "pipeline": (),
    "pipeline/octavo/backends/litert": ("litert",),
    "pipeline/octavo/backends/litert/kernels/micro_program.py": ("litert", "dev"),
    "pipeline/octavo/data/sources/digits.py": ("digits",),
    "pipeline/octavo/data/sources/parquet_table.py": ("parquet",),
    "pipeline/octavo/quantization/clipping/litert.py": ("litert",),
    "pipeline/octavo/quantization/converter": ("litert",),
    "pipeline/octavo/quantization/converter/process.py": ("train",),
    "pipeline/octavo/quantization/litert": ("litert",),
    "pipeline/octavo/quantization/recipes/litert": ("litert",),
    "pipeline/octavo/reporting/documents/signature.py": ("signing",),
    "pipeline/octavo/training": ("train",),
    "stages": (),
    "mlflow_plugins": ("mlflow",),
    "mlflow_plugins/octavo_mlflow/flavors/litert.py": ("mlflow", "litert"),
    "mlflow_plugins/octavo_mlflow/flavors/tensors.py": ("mlflow", "litert"),
    "mlflow_plugins/octavo_mlflow/promotion/signing.py": ("mlflow", "signing"),
}
"""File or folder -> the extras that its imports may need beside the base install. The longest path counts."""
STARTS = {
    "stages/octavo_stages/register.py": ("mlflow",),
    **{f"stages/octavo_stages/{name}.py": ("train",) for name in ("network", "finetune")},
}
"""Files that import a library only through a room which needs the extra."""
NOT_IMPORTED = {
    "dvc": "a program",
    "pyopenssl": "model-signing imports it without declaring it",
    "tqdm": "pooch's progress bar",
}
DISTRIBUTIONS = importlib.metadata.packages_distributions()


def declared() -> dict[str, set[str]]:
    """Extra, or "" for the base install -> the distributions that pyproject.toml names, in one spelling."""
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8")).unwrap()["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: {canonicalize_name(Requirement(line).name) for line in lines} for extra, lines in lists.items()}


def covering(file: Path) -> tuple[str, ...]:
    return COVERS[max((path for path in COVERS if file.is_relative_to(path)), key=len)]


def third_party(file: Path) -> set[str]:
    """Top-level names of the packages of others that `file` imports."""
    tops = {name.partition(".")[0] for name in imported_names(ROOT, file)}
    return tops - set(sys.stdlib_module_names) - set(PACKAGES)


def distributions(module: str) -> set[str]:
    return {canonicalize_name(name) for name in DISTRIBUTIONS.get(module, [module])}


def test_every_import_is_declared_for_the_extra_that_covers_it() -> None:
    wanted = declared()
    found = [
        f"{file} imports {module}: {', '.join(['the base install', *covering(file)])} lacks it"
        for file in source_files()
        for module in sorted(third_party(file))
        if not distributions(module) & set[str]().union(*(wanted[extra] for extra in ("", *covering(file))))
    ]
    assert found == []


def test_nothing_is_declared_in_vain() -> None:
    imported = set[str]().union(*(distributions(module) for file in source_files() for module in third_party(file)))
    wanted = declared()
    runtime = set[str]().union(wanted[""], *(wanted[extra] for extra in extras.EXTRAS))
    assert runtime - imported == set(NOT_IMPORTED)


def test_the_message_about_a_missing_library_names_the_extra_that_has_it() -> None:
    wanted = declared()
    assert set(extras.EXTRAS) == set(wanted) - {"", "all", "dev"}
    for extra, modules in extras.EXTRAS.items():
        named = set[str]().union(*(distributions(module) & wanted[extra] for module in modules))
        assert named == wanted[extra], extra


def test_all_has_every_extra_and_so_has_this_repository() -> None:
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8")).unwrap()["project"]
    (everything,) = (Requirement(line) for line in project["optional-dependencies"]["all"])
    assert (everything.name, everything.extras) == ("octavo", set(extras.EXTRAS))
    assert "octavo[all]" in project["optional-dependencies"]["dev"]


BLOCKED = """
import importlib, json, sys
blocked, modules = json.load(sys.stdin)
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
failed = []
for module in modules:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as fault:
        failed.append(f"{module}: {fault}")
print(json.dumps(failed))
"""


@pytest.mark.slow
@pytest.mark.parametrize("given", [(), ("mlflow",), ("litert",)], ids=lambda given: "+".join(given) or "base")
def test_whatever_needs_no_other_extra_imports_without_it(given: tuple[str, ...]) -> None:
    here = {module for extra in given for module in extras.EXTRAS[extra]}
    blocked = {module for modules in extras.EXTRAS.values() for module in modules} - here
    if "mlflow" in given:
        blocked -= {"sklearn", "cryptography", "dvc"}  # MLflow imports the first two, and a dvc_* of pytest is no DVC
    files = [file for file in source_files() if set(STARTS.get(str(file), covering(file))) <= set(given)]
    modules = [".".join(file.with_suffix("").parts[1:]).removesuffix(".__init__") for file in files]
    result = subprocess.run(
        [sys.executable, "-c", BLOCKED], input=json.dumps([sorted(blocked), modules]), cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == []
    assert len(modules) > 100
