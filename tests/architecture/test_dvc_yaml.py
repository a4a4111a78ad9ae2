"""`dvc.yaml` is short, names the places that `paths` has, and each stage depends on the digest of its code."""

import contextlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo

from octavo.project import paths as project_paths
from octavo.project.code.stages import digests
from octavo.project.params.params import load_params
from tests.architecture.source_tree import ROOT, stage_names

COMMAND = re.compile(r"python -m octavo_stages\.(?P<module>\w+)(?: (?P<key>\S+))?")
SPLITS = ("train", "calibration", "selection", "test")
LONGEST = 170
WITHOUT_DIGEST = {"code"}
"""It runs every time."""


@dataclass(frozen=True)
class Stage:
    name: str
    module: str
    key: str | None
    deps: frozenset[Path]
    params: dict[Path, set[str]]
    outs: frozenset[Path]


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    """Every stage of `dvc.yaml` as DVC itself expands it."""
    with Repo(str(ROOT)) as repo:
        found = [_stage(stage) for stage in repo.index.stages]
    assert found, "dvc.yaml has no stages"
    return found


def test_it_can_be_read_from_top_to_bottom() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST
    params = load_params(ROOT / "params.yaml")
    wired = [name for name in params.variants if name in text]
    assert wired == [], "variants and networks stand in params.yaml alone"


def test_every_stage_file_is_in_the_pipeline_and_every_stage_has_a_file() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert {match["module"] for match in COMMAND.finditer(text)} == set(stage_names())


def test_every_stage_depends_on_the_digest_of_its_code(stages: list[Stage]) -> None:
    known = digests(load_params(ROOT / "params.yaml"))
    for stage in stages:
        if stage.module not in WITHOUT_DIGEST:
            digest = known[stage.module]
            key = f"{stage.module}.{stage.key}" if isinstance(digest, dict) else stage.module
            assert key in stage.params[project_paths.CODE], stage.name


def test_every_key_of_the_code_file_is_there(stages: list[Stage]) -> None:
    known = digests(load_params(ROOT / "params.yaml"))
    for stage in stages:
        for key in stage.params.get(project_paths.CODE, ()):
            section, _, item = key.partition(".")
            assert item in known[section] if item else isinstance(known[section], str), f"{stage.name}: {key}"


def test_no_stage_lists_files_of_code(stages: list[Stage]) -> None:
    assert {f"{stage.name}: {dep}" for stage in stages for dep in stage.deps if dep.suffix == ".py"} == set()


def test_outs_lie_where_paths_says(stages: list[Stage]) -> None:
    """Each out is one of `paths`, or the folder that one name has there."""
    strays = {}
    for stage in stages:
        known = set(places(stage.key))
        folders = {place.parent for place in known if place.parent.name == stage.key}
        strays[stage.name] = sorted(map(str, stage.outs - known - folders))
    assert {name: paths for name, paths in strays.items() if paths} == {}


def test_inputs_are_in_the_checkout_or_made_by_a_stage(stages: list[Stage]) -> None:
    outs = set[Path]().union(*(stage.outs for stage in stages))
    unknown = {f"{stage.name}: {dep}" for stage in stages for dep in stage.deps if not comes_from_somewhere(dep, outs)}
    assert unknown == set()


def comes_from_somewhere(dep: Path, outs: set[Path]) -> bool:
    if dep.parts[0] in (project_paths.ARTIFACTS.name, project_paths.REPORTS.name):
        return any(dep == out or out in dep.parents or dep in out.parents for out in outs)
    return (ROOT / dep).exists()


def places(key: str | None) -> Iterator[Path]:
    """Every path that `octavo.project.paths` gives, for one name or for those that a stage without key can mean."""
    networks = load_params(ROOT / "params.yaml").networks
    for member in vars(project_paths).values():
        if isinstance(member, Path):
            yield member
        elif inspect.isfunction(member) and member.__module__ == project_paths.__name__:
            for name in (key,) if key else (*networks, *SPLITS):
                with contextlib.suppress(KeyError):
                    yield member(name)


def _stage(stage: Any) -> Stage:
    match = COMMAND.fullmatch(stage.cmd)
    assert match, f"{stage.addressing} runs '{stage.cmd}'; allowed is: python -m octavo_stages.NAME [KEY]"
    params = {Path(dep.def_path): {*dep.params} for dep in stage.deps if isinstance(dep, ParamsDependency)}
    deps = (dep for dep in stage.deps if not isinstance(dep, ParamsDependency))
    return Stage(stage.addressing, match["module"], match["key"], _paths(deps), params, _paths(stage.outs))


def _paths(ends: Any) -> frozenset[Path]:
    return frozenset(Path(end.def_path) for end in ends)
