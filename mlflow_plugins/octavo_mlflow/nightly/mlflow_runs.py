"""Show nights in MLflow: one run per night, in an experiment of their own."""

import socket
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType

from octavo.project.params.params import Params
from octavo_mlflow.nightly import record
from octavo_mlflow.nightly.record import Night
from octavo_mlflow.tracking import connection

NIGHT = "octavo.night"
"""Tag of a run: the machine, the project's folder on it, and the night's name."""
SHOWN = 30
"""How many past nights are checked. Those that MLflow missed, because it did not answer, are added."""


def show(ended: Night, params: Params) -> None:
    """Show the night that ended, and earlier nights that MLflow lacks.

    Raises:
        ServiceUnavailable: the tracking store does not answer.
    """
    with connection.connected() as client:
        experiment = connection.experiment(client, f"{params.registry.experiment}.nightly")
        shown = _shown(client, experiment)
        for each in _latest(ended):
            if _key(each) not in shown:
                _log(client, experiment, each)


def _latest(ended: Night) -> Iterator[Night]:
    yield ended
    for _, past in zip(range(SHOWN), record.ended(), strict=False):
        if past.name != ended.name:
            yield past


def _shown(client: MlflowClient, experiment: str) -> set[str]:
    """Nights with a complete run. Runs that a killed process left are deleted."""
    runs = client.search_runs([experiment], f"tags.`{NIGHT}` LIKE '{_place()}%'", ViewType.ACTIVE_ONLY, 10 * SHOWN)
    for run in runs:
        if run.info.status == "RUNNING":
            client.delete_run(run.info.run_id)
    return {run.data.tags[NIGHT] for run in runs if run.info.status != "RUNNING"}


def _log(client: MlflowClient, experiment: str, ended: Night) -> None:
    assert ended.ended
    start, end = (int(moment.timestamp() * 1000) for moment in (ended.started, ended.ended))
    tags = {NIGHT: _key(ended), "outcome": str(ended.outcome), "mlflow.note.content": "\n\n".join(ended.reasons)}
    run = client.create_run(experiment, start_time=start, tags=tags, run_name=ended.name)
    metrics = [Metric(f"seconds_{step.name}", step.seconds, end, 0) for step in ended.steps]
    metrics.append(Metric("seconds", (end - start) / 1000, end, 0))
    params = [Param(f"champion_{when}", str(version)) for when, version in ended.champion.items()]
    client.log_batch(run.info.run_id, metrics, params, [RunTag("stages", ", ".join(ended.stages) or "none")])
    client.log_text(run.info.run_id, ended.model_dump_json(indent=1), "night.json")
    client.set_terminated(run.info.run_id, "FAILED" if ended.is_trouble else "FINISHED", end)


def _key(ended: Night) -> str:
    return f"{_place()}{ended.name}"


def _place() -> str:
    return f"{socket.gethostname()}:{Path.cwd()}:"
