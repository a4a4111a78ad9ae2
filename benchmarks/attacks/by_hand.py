"""Tampering in MLflow's database, by SQL: what no client would let through."""

# ruff: noqa: S608 # the parts of these statements are our own

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.attacks.kind import Change, Kind, kinds_of
from benchmarks.attacks.victim import FACTORS, STANDS, VARIANT, Victim, sha256
from tests.octavo_mlflow.measured_project import WEIGHTS

KEPT = ("model.sha256", "octavo.digest", "variant", "audit.record")
AT = "WHERE version = ?"


def kinds(_: Victim) -> Iterator[Kind]:
    """All of them."""
    for group, found in {
        "tags of the model, by hand": _model_tags(),
        "tags of versions, by hand": _version_tags(),
        "aliases, by hand": _aliases(),
        "versions, by hand": _versions(),
        "bytes, and what vouches for them": _bytes(),
        "places of artifacts": _places(),
        "registered model, by hand": _models(),
        "experiments and runs, by hand": _experiments(),
    }.items():
        yield from kinds_of(group, "database", dict(found))


def _sql(statement: str, *values: object) -> Change:
    return lambda victim: victim.sql(statement, *values)


def _model_tags() -> Iterator[tuple[str, Change]]:
    for key in ("audit.head", "audit.done", "audit.log"):
        yield f"{key} deleted", _sql("DELETE FROM registered_model_tags WHERE key = ?", key)
        yield f"{key} NULL", _sql("UPDATE registered_model_tags SET value = NULL WHERE key = ?", key)
        yield f"{key} odd", _sql("UPDATE registered_model_tags SET value = '5 \u2028' WHERE key = ?", key)
    yield "all deleted", _sql("DELETE FROM registered_model_tags")
    yield (
        "audit.head in capitals",
        _sql("UPDATE registered_model_tags SET value = upper(value) WHERE key = 'audit.head'"),
    )
    yield "audit.done 04", _sql("UPDATE registered_model_tags SET value = '04' WHERE key = 'audit.done'")


def _version_tags() -> Iterator[tuple[str, Change]]:
    for version in (2, 3, 4):
        for key in KEPT if version < 4 else KEPT[:-1]:  # no record made 4 champion
            at = "WHERE version = ? AND key = ?"
            yield f"{key} of {version} deleted", _sql(f"DELETE FROM model_version_tags {at}", version, key)
            yield f"{key} of {version} NULL", _sql(f"UPDATE model_version_tags SET value = NULL {at}", version, key)
        yield f"all of {version} deleted", _sql(f"DELETE FROM model_version_tags {AT}", version)
    yield "of 3 and 4 swapped", _swapped("model_version_tags")
    yield "of 2 and 3 swapped", _swapped("model_version_tags", 2, 3)


def _swapped(table: str, one: int = 3, other: int = 4) -> Change:
    def change(victim: Victim) -> None:
        for before, after in ((one, 99), (other, one), (99, other)):
            victim.sql(f"UPDATE {table} SET version = ? WHERE version = ?", after, before)

    return change


def _aliases() -> Iterator[tuple[str, Change]]:
    for alias in STANDS:
        for version in (1, 2, 3, 4, 99, -1):
            if str(version) != STANDS[alias]:
                change = _sql("UPDATE registered_model_aliases SET version = ? WHERE alias = ?", version, alias)
                yield f"{alias} to {version}", change
        yield f"{alias} deleted", _sql("DELETE FROM registered_model_aliases WHERE alias = ?", alias)
        yield (
            f"{alias} of another name",
            _sql("UPDATE registered_model_aliases SET alias = ? WHERE alias = ?", alias.upper(), alias),
        )
    yield "all deleted", _sql("DELETE FROM registered_model_aliases")


def _versions() -> Iterator[tuple[str, Change]]:
    for version in (1, 2, 3, 4):
        yield f"version {version} deleted", _sql(f"DELETE FROM model_versions {AT}", version)
        yield (
            f"stage of {version} is deleted",
            _sql(f"UPDATE model_versions SET current_stage = 'Deleted_Internal' {AT}", version),
        )
    yield "2 and 3 change their numbers", _renumbered
    for column in ("source", "storage_location", "run_id"):
        for version, other in ((3, 2), (3, 1), (4, 1), (2, 4)):
            yield (
                f"{column} of {version} is that of {other}",
                _sql(
                    f"UPDATE model_versions SET {column} = "
                    f"(SELECT {column} FROM model_versions WHERE version = ?) {AT}",
                    other,
                    version,
                ),
            )
        yield f"{column} of 3 is NULL", _sql(f"UPDATE model_versions SET {column} = NULL {AT}", 3)
        yield f"{column} of 3 is odd", _sql(f"UPDATE model_versions SET {column} = '../../etc' {AT}", 3)
    for version in (3, 4):
        yield f"status of {version} failed", _sql(f"UPDATE model_versions SET status = 'FAILED' {AT}", version)


def _renumbered(victim: Victim) -> None:
    for table in ("model_versions", "model_version_tags"):
        _swapped(table, 2, 3)(victim)


def _bytes() -> Iterator[tuple[str, Change]]:
    """The file and, so that they agree, the tag or more."""
    for version in (2, 3, 4):
        yield f"file and model.sha256 of {version}", partial(_forged, version, False)
        yield f"file, model.sha256 and MLmodel of {version}", partial(_forged, version, True)
    yield "file and tags of version 3 are those of 1", _impersonated


def _forged(version: int, deeply: bool, victim: Victim) -> None:
    """Weights that are turned round, so that it chooses other classes, and the tag that names the bytes."""
    path = victim.stored(version) / "data" / "model.tflite"
    weights = WEIGHTS * np.float32(FACTORS[version])
    content = path.read_bytes()
    assert weights.tobytes() in content
    content = content.replace(weights.tobytes(), weights[::-1].tobytes())
    path.write_bytes(content)
    victim.sql(
        f"UPDATE model_version_tags SET value = ? {AT} AND key = 'model.sha256'",
        sha256(content),
        version,
    )
    if deeply:
        with path.parent.parent.joinpath("MLmodel").open("a") as file:
            file.write("# looked after\n")


def _impersonated(victim: Victim) -> None:
    victim.sql("DELETE FROM model_version_tags WHERE version = 3 AND key <> 'audit.record'")
    victim.sql(
        "INSERT INTO model_version_tags (key, value, name, version, workspace) "
        "SELECT key, value, name, 3, workspace FROM model_version_tags WHERE version = 1"
    )
    for column in ("source", "storage_location", "run_id"):
        victim.sql(
            f"UPDATE model_versions SET {column} = (SELECT {column} FROM model_versions WHERE version = 1) "
            "WHERE version = 3"
        )


def _places() -> Iterator[tuple[str, Change]]:
    """MLflow is told to look elsewhere, where somebody put a copy and changed it."""
    for version in (3, 4):
        yield f"folder of version {version}: code changed", partial(_elsewhere, version, False)
        yield f"folder of version {version}: an unchanged copy", partial(_elsewhere, version, True)
    yield "run of the log: a record changed", _log_elsewhere
    yield "experiments", _sql("UPDATE experiments SET artifact_location = 'file:///nowhere'")
    yield "runs", _sql("UPDATE runs SET artifact_uri = 'file:///nowhere'")
    yield "logged models", _sql("UPDATE logged_models SET artifact_location = 'file:///nowhere'")
    yield "logged models, at a server", _sql("UPDATE logged_models SET artifact_location = 'http://127.0.0.1:9/x'")
    yield "versions, at a server", _sql("UPDATE model_versions SET storage_location = 'http://127.0.0.1:9/x'")
    yield "runs, at a server", _sql("UPDATE runs SET artifact_uri = 'http://127.0.0.1:9/x'")


def _elsewhere(version: int, unchanged: bool, victim: Victim) -> None:
    copy = victim.folder / "elsewhere"
    shutil.copytree(victim.stored(version), copy)
    if not unchanged:
        with (copy / "MLmodel").open("a") as file:
            file.write("# looked after\n")
    model = victim.stored(version).parent.name
    victim.sql("UPDATE logged_models SET artifact_location = ? WHERE model_id = ?", copy.as_uri(), model)
    victim.sql(f"UPDATE model_versions SET storage_location = ? {AT}", copy.as_uri(), version)


def _log_elsewhere(victim: Victim) -> None:
    log = victim.records()[0].parent.parent
    copy = victim.folder / "elsewhere"
    shutil.copytree(log, copy)
    last = max(Path(copy, "records").iterdir())
    last.write_text(last.read_text().replace(VARIANT, "onnx_fp32"))
    victim.sql("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", copy.as_uri(), log.parent.name)


def _models() -> Iterator[tuple[str, Change]]:
    for what, change in {"a day later": 86_400_000 * 3, "a year before": -31_536_000_000}.items():
        yield f"registered {what}", _sql("UPDATE registered_models SET creation_time = creation_time + ?", change)
    yield "registered at no time", _sql("UPDATE registered_models SET creation_time = NULL")
    yield "renamed, but for its name in the log", _renamed
    yield "deleted", _deleted


def _renamed(victim: Victim) -> None:
    for table in ("registered_models", "registered_model_tags", "registered_model_aliases"):
        victim.sql(f"UPDATE {table} SET name = 'other'")
    for table in ("model_versions", "model_version_tags"):
        victim.sql(f"UPDATE {table} SET name = 'other'")


def _deleted(victim: Victim) -> None:
    for table in (
        "registered_model_tags",
        "registered_model_aliases",
        "model_version_tags",
        "model_versions",
        "registered_models",
    ):
        victim.sql(f"DELETE FROM {table}")


def _experiments() -> Iterator[tuple[str, Change]]:
    yield "all experiments deleted", _sql("UPDATE experiments SET lifecycle_stage = 'deleted'")
    yield "all runs deleted", _sql("UPDATE runs SET lifecycle_stage = 'deleted'")
    yield "all logged models deleted", _sql("UPDATE logged_models SET lifecycle_stage = 'deleted'")
    yield "rows of all runs gone", _sql("DELETE FROM runs")
    yield "rows of all logged models gone", _sql("DELETE FROM logged_models")
    yield "tags of all runs gone", _sql("DELETE FROM tags")
    yield "metrics of all runs gone", _sql("DELETE FROM latest_metrics")
