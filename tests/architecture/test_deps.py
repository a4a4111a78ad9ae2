"""The picture of imports and the picture of what re-runs are one: each stage's `deps` are what it imports.

A `foreach` stage has one list of deps for all its items. So `quantize` lists its variant's own recipe file, and
besides what any recipe imports: adding a variant then changes no other variant's deps. A file that bears a module's
name, like `report.html.j2` beside `report.py`, belongs to it.
"""

import contextlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from octavo.project import paths as project_paths
from octavo.project.params import NETWORKS, load_params
from tests.architecture.source_tree import PACKAGES, ROOT, closure, stage_names

COMMAND = re.compile(r"python -m octavo_stages\.(?P<module>\w+)(?: (?P<key>\S+))?")
RECIPES = Path("pipeline/recipes")
SPLITS = ("train", "calibration", "selection", "test")


@dataclass(frozen=True)
class Stage:
    name: str
    module: str
    key: str | None
    deps: frozenset[Path]
    outs: frozenset[Path]


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    """Every stage of `dvc.yaml` as DVC itself expands it."""
    with Repo(str(ROOT)) as repo:
        found = [_stage(stage.addressing, stage.cmd, stage.deps, stage.outs) for stage in repo.index.stages]
    assert found, "dvc.yaml has no stages"
    return found


def test_every_stage_file_is_in_the_pipeline_and_every_stage_has_a_file(stages: list[Stage]) -> None:
    assert {stage.module for stage in stages} == set(stage_names())


def test_deps_are_what_the_stage_imports(stages: list[Stage]) -> None:
    faults = [fault for stage in stages if (fault := mismatch(stage, expected_deps(ROOT, stage)))]
    assert not faults, "In dvc.yaml:\n" + "\n".join(dict.fromkeys(faults))


def test_outs_lie_where_layout_says(stages: list[Stage]) -> None:
    """Each out is one of layout's paths, or the folder that one name has there."""
    strays = {}
    for stage in stages:
        known = set(places(stage.key))
        folders = {place.parent for place in known if place.parent.name == stage.key}
        strays[stage.name] = sorted(map(str, stage.outs - known - folders))
    assert {name: paths for name, paths in strays.items() if paths} == {}


def test_deps_that_are_no_code_are_in_the_checkout_or_made_by_a_stage(stages: list[Stage]) -> None:
    outs = set[Path]().union(*(stage.outs for stage in stages))
    unknown = {f"{stage.name}: {dep}" for stage in stages for dep in stage.deps if not comes_from_somewhere(dep, outs)}
    assert unknown == set()


def test_a_missing_and_a_surplus_dep_are_reported_as_yaml(tmp_path: Path) -> None:
    for folder in ("stages", "pipeline"):
        (tmp_path / folder).mkdir()
    (tmp_path / "stages/fit.py").write_text("import pipeline.used", encoding="utf-8")
    (tmp_path / "pipeline/used.py").touch()
    (tmp_path / "pipeline/other.py").touch()
    deps = frozenset({Path("stages/fit.py"), Path("pipeline/other.py"), Path("artifacts/data")})
    stage = Stage("fit", "fit", None, deps, frozenset())
    expected = expected_deps(tmp_path, stage)
    assert mismatch(stage, expected) == (
        "fit\n  missing:\n      - pipeline/used.py\n  surplus:\n      - pipeline/other.py"
    )
    right = Stage("fit", "fit", None, frozenset(expected), frozenset())
    assert mismatch(right, expected) is None


def comes_from_somewhere(dep: Path, outs: set[Path]) -> bool:
    if dep.parts[0] in (project_paths.ARTIFACTS.name, project_paths.REPORTS.name):
        return any(dep == out or out in dep.parents or dep in out.parents for out in outs)
    return (ROOT / dep).exists()


def expected_deps(root: Path, stage: Stage) -> set[Path]:
    """The first-party files that the stage's process runs."""
    files = closure(root, Path("stages") / f"{stage.module}.py")
    if stage.module == "quantize" and stage.key:
        recipes = {path.relative_to(root) for path in (root / RECIPES).glob("[!_]*.py")}
        shared = set().union(*(closure(root, recipe) for recipe in recipes)) - recipes
        files |= shared | {RECIPES / f"{load_params(root / 'params.yaml').variant(stage.key).recipe}.py"}
    beside = {path.relative_to(root) for file in files for path in (root / file).parent.glob(f"{file.stem}.*")}
    return files | beside


def mismatch(stage: Stage, expected: set[Path]) -> str | None:
    """What to add to and take from the stage's deps, as lines for `dvc.yaml`."""
    code = {dep for dep in stage.deps if dep.parts[0] in PACKAGES}
    lines = [stage.name.split("@")[0]]
    for title, files in (("missing", expected - code), ("surplus", code - expected)):
        if files:
            lines += [f"  {title}:", *(f"      - {_as_written(stage, file)}" for file in sorted(files))]
    return "\n".join(lines) if len(lines) > 1 else None


def places(key: str | None) -> Iterator[Path]:
    """Every path that `octavo.project.paths` gives, for one name or for those that a stage without key can mean."""
    for member in vars(project_paths).values():
        if isinstance(member, Path):
            yield member
        elif inspect.isfunction(member) and member.__module__ == project_paths.__name__:
            for name in (key,) if key else (*NETWORKS, *SPLITS):
                with contextlib.suppress(KeyError):
                    yield member(name)


def _stage(name: str, command: str, deps: list[Any], outs: list[Any]) -> Stage:
    match = COMMAND.fullmatch(command)
    assert match, f"{name} runs '{command}'; allowed is: python -m octavo_stages.NAME [KEY]"
    return Stage(name, match["module"], match["key"], _paths(deps), _paths(outs))


def _paths(ends: list[Any]) -> frozenset[Path]:
    return frozenset(Path(end.def_path) for end in ends)


def _as_written(stage: Stage, file: Path) -> str:
    own_recipe = stage.key and file.parent == RECIPES and not file.name.startswith("_")
    return f"{RECIPES}/${{item.recipe}}.py" if own_recipe else str(file)
