"""Delete what old nights left: runs, versions, logs and files in DVC's cache. Whatever was ever promoted stays."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.entities.model_registry import ModelVersion

from octavo.evaluation.scorecard import load_scorecards
from octavo.project import paths
from octavo.project.git import tags as git_tags
from octavo.project.params.params import Params
from octavo_mlflow.nightly.dvc import dvc
from octavo_mlflow.promotion import request
from octavo_mlflow.registry import aliases, standing, tags
from octavo_mlflow.tracking import connection

DAY = 24 * 3600
REMOVED = re.compile(r"Removed (\d+) ")


def tidy(params: Params, log: Path) -> dict[str, int]:
    """Delete what is older than `nightly.keep` allows, and return the counts by kind.

    Some things are kept whatever their age. In MLflow: versions that have an alias, were ever promoted or are
    requested, with their runs, and those of the present scorecards. In DVC's cache: the files that the workspace, a
    tag, an experiment or one of the last commits needs.
    """
    before = time.time() - params.nightly.keep.days * DAY
    with connection.connected() as client:
        now = standing.state(client, params.registry.model)
        asked = request.opened(client, now)
        kept = {*now.aliases.values(), *([asked.asked.version] if asked else [])}
        removed = _old_runs(client, params, before, kept)
    removed["logs"] = sum(_unlink(path, before) for path in paths.NIGHTS.glob("*.log"))
    removed["trials"] = sum(_unlink(path, before) for path in paths.TRIALS.glob("*.json"))
    removed["cache"] = _unused_cache(params, kept, log)
    return {kind: count for kind, count in removed.items() if count}


def _old_runs(client: MlflowClient, params: Params, before: float, kept: set[str]) -> dict[str, int]:
    experiment = client.get_experiment_by_name(params.registry.experiment)
    if experiment is None:
        return {}
    present = {tags.digest(card) for card in load_scorecards(paths.SCORECARDS).scorecards}
    versions = _versions(client, params.registry.model)
    gone = {"runs": 0, "versions": 0}
    for run in _runs(client, experiment.experiment_id, int(before * 1000)):
        own = versions.get(run.info.run_id, [])
        if run.data.tags[tags.DIGEST] in present or any(_is_kept(version, kept) for version in own):
            continue
        for version in own:
            client.delete_model_version(version.name, version.version)
        for output in run.outputs.model_outputs if run.outputs else []:
            client.delete_logged_model(output.model_id)
        client.delete_run(run.info.run_id)
        gone["runs"] += 1
        gone["versions"] += len(own)
    return gone


def _versions(client: MlflowClient, model: str) -> dict[str, list[ModelVersion]]:
    """Versions by run. The search does not return aliases, so they are read from the registered model."""
    found: dict[str, list[ModelVersion]] = {}
    pointed = set(client.get_registered_model(model).aliases.values())
    token = None
    while True:
        page = client.search_model_versions(f"name = '{model}'", page_token=token)
        for version in page:
            version.aliases = ["an alias"] if version.version in pointed else []
            found.setdefault(str(version.run_id), []).append(version)
        token = page.token
        if not token:
            return found


def _runs(client: MlflowClient, experiment: str, before: int) -> Iterator[Run]:
    """Runs of variants that started before then."""
    query, token = f"attributes.start_time < {before}", None
    while True:
        page = client.search_runs([experiment], query, ViewType.ACTIVE_ONLY, page_token=token)
        yield from (run for run in page if tags.DIGEST in run.data.tags)
        token = page.token
        if not token:
            return


def _is_kept(version: ModelVersion, kept: set[str]) -> bool:
    return str(version.version) in kept or bool(version.aliases) or aliases.RECORD in version.tags


def _unlink(path: Path, before: float) -> bool:
    if path.stat().st_mtime >= before:
        return False
    path.unlink()
    return True


def _unused_cache(params: Params, kept: set[str], log: Path) -> int:
    """Delete files in DVC's cache that nothing needs. Tags of versions without an alias are deleted first."""
    model, commits = params.registry.model, params.nightly.keep.commits
    for version in git_tags.tags(model):
        if version not in kept:
            git_tags.untag(model, version)
    if not git_tags.is_in_git():
        return 0
    scope = ["--workspace", "--all-tags", "--all-experiments", "--rev", "HEAD", "--num", str(commits)]
    printed = " ".join(dvc(log, "gc", "--force", *scope).lines)
    return sum(int(count) for count in REMOVED.findall(printed))
