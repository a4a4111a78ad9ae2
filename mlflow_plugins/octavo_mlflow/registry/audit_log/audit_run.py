"""The run in MLflow that holds the audit log of a registered model, and the files in it: one artifact per record.

A file's name holds the number and the hash of its record, so no record is ever overwritten.

The log belongs to the registered model, not to the model's name: the tag `audit.log` names its run. Earlier releases
did not set that tag. Their logs are found by name, and only if they are younger than the model.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from octavo.promotion.audit_record import Move
from octavo_mlflow.registry.standing import LOG, State
from octavo_mlflow.tracking import artifact_place, connection

OF = "audit.of"
"""Tag of the run that holds the records: the name of the registered model."""
RECORDS, GROUNDS, REQUESTS = "records", "grounds", "requests"
NAMED = re.compile(r"(?P<sequence>\d{6,})(-[0-9a-f]{64}(\.\d+)?)?\.json", re.ASCII)
"""File names of records: the number, the hash, and a counter if a changed record was restored beside the changed file.
Earlier releases used the number alone.
"""


def prepare(client: MlflowClient, model: str) -> None:
    """Create the experiment of the log. On a server with user accounts it then belongs to this user."""
    connection.experiment(client, experiment(model))


def run_id(client: MlflowClient, now: State) -> str | None:
    """The run that holds the log, or None if there is none or it was deleted."""
    named = now.tags.get(LOG)
    run = _run(client, named) if named else _found_by_name(client, now)
    return None if run is None or run.info.lifecycle_stage != "active" else str(run.info.run_id)


def opened(client: MlflowClient, now: State) -> str:
    """The run that holds the log. It is created if there is none."""
    return run_id(client, now) or _create_run(client, now.model)


def revive(client: MlflowClient, now: State) -> str:
    """The run that holds the log. A deleted run is restored; a missing one is created."""
    named = now.tags.get(LOG)
    run = _run(client, named) if named else None
    if run is None:
        prepare(client, now.model)
        return opened(client, now)
    if client.get_experiment(run.info.experiment_id).lifecycle_stage != "active":
        client.restore_experiment(run.info.experiment_id)
    if client.get_run(run.info.run_id).info.lifecycle_stage != "active":
        client.restore_run(run.info.run_id)
    return str(run.info.run_id)


def place(kind: str, move: Move, copy: int = 1) -> str:
    """The artifact path of a record or of its grounds.

    Args:
        kind: the folder: `RECORDS`, `GROUNDS` or `REQUESTS`.
        move: the record.
        copy: 2 or more for a file that is restored beside a changed one.
    """
    return f"{kind}/{move.sequence:06}-{move.hash}{f'.{copy}' if copy > 1 else ''}.json"


def of_number(paths: Iterable[str], sequence: int) -> list[str]:
    """The paths that belong to the record with that number."""
    found = [(path, NAMED.fullmatch(path.rpartition("/")[2])) for path in paths]
    return [path for path, match in found if match and int(match["sequence"]) == sequence]


def experiment(model: str) -> str:
    """The name of the experiment in which a model's log begins."""
    return f"{model}.audit"


def texts(client: MlflowClient, now: State, kind: str, sequence: int) -> Iterator[str]:
    """The contents of all files of that kind that belong to the record with that number.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        kind: the folder: `RECORDS`, `GROUNDS` or `REQUESTS`.
        sequence: the record number.

    Raises:
        ModelError: MLflow cannot read from their place.
    """
    run = run_id(client, now)
    yield from fetched(now, run, of_number(listed(client, now, run, kind), sequence))


def records(client: MlflowClient, now: State) -> list[str]:
    """The contents of all files of records in the run, downloaded at once, in the order of their names.

    Raises:
        ModelError: MLflow cannot read from their place.
    """
    run = run_id(client, now)
    with _readable(now):
        if run is None or not client.list_artifacts(run, RECORDS):
            return []
    with TemporaryDirectory() as folder:
        with _readable(now):
            copies = Path(download_artifacts(f"runs:/{run}/{RECORDS}", dst_path=folder))
        return [_text(path) for path in sorted(copies.iterdir()) if NAMED.fullmatch(path.name) and path.is_file()]


def listed(client: MlflowClient, now: State, run: str | None, kind: str) -> list[str]:
    """The paths of the files of that kind in the log's run; none if there is no run.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        run: the id of the log's run.
        kind: the folder: `RECORDS`, `GROUNDS` or `REQUESTS`.

    Raises:
        ModelError: MLflow cannot read from their place.
    """
    with _readable(now):
        return [item.path for item in client.list_artifacts(run, kind) if not item.is_dir] if run else []


def fetched(now: State, run: str | None, paths: Iterable[str]) -> Iterator[str]:
    """The contents of these artifacts of the log's run. Each one is downloaded when the iterator reaches it.

    Args:
        now: the registered model's present state.
        run: the id of the log's run.
        paths: of the artifacts.

    Raises:
        ModelError: MLflow cannot read from their place.
    """
    with TemporaryDirectory() as folder:
        for path in paths:
            with _readable(now):
                copy = Path(download_artifacts(f"runs:/{run}/{path}", dst_path=folder))
            yield _text(copy)


def _create_run(client: MlflowClient, model: str) -> str:
    made = client.create_run(connection.experiment(client, experiment(model)), tags={OF: model}, run_name="audit log")
    client.set_terminated(made.info.run_id)
    return str(made.info.run_id)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def _readable(now: State) -> AbstractContextManager[None]:
    return artifact_place.readable(f"the audit log of {now.model}")


def _run(client: MlflowClient, run: str) -> Run | None:
    """The run with that id, or None if it does not hold an audit log."""
    try:
        found = client.get_run(run)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None
    return found if OF in found.data.tags else None


def _found_by_name(client: MlflowClient, now: State) -> Run | None:
    known = client.get_experiment_by_name(experiment(now.model))
    if known is None:
        return None
    runs = client.search_runs(
        [known.experiment_id],
        f"tags.`{OF}` = '{now.model}'",
        ViewType.ACTIVE_ONLY,
        order_by=["attributes.start_time ASC"],
    )
    return next((run for run in runs if run.info.start_time >= now.made), None)
