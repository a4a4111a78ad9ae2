"""The audit log in MLflow, where all who share a registry share it: a run of its own, an artifact for each record.

A record counts from the moment on when the registered model's tag `audit.head` names it. What was uploaded before and
never named is what a killed process left behind, and the next record takes its place.
"""

from mlflow import MlflowClient
from mlflow.artifacts import load_text
from mlflow.entities import ViewType

from mlflow_plugins import tracking
from pipeline import layout, moves
from pipeline.errors import AuditFailed
from pipeline.moves import Move

HEAD = "audit.head"
"""Tag of the registered model: number and hash of the last record."""
OF = "audit.of"
"""Tag of the run that holds the records: the registered model."""


def head(tags: dict[str, str]) -> tuple[int, str]:
    """Number and hash of the last record, by the registered model's tags; 0 where nothing ever moved."""
    sequence, _, found = tags.get(HEAD, f"0 {moves.ORIGIN}").partition(" ")
    return int(sequence), found


def prepare(client: MlflowClient, model: str) -> None:
    """Make the log's experiment, which belongs to who makes it wherever MLflow asks people who they are."""
    tracking.experiment(client, _experiment(model))


def append(client: MlflowClient, move: Move, grounds: str | None) -> None:
    """Add a record, and beside it what the verdict follows from. The caller holds the mutex."""
    run = _run_id(client, move.model) or _create_run(client, move.model)
    if grounds is not None:
        client.log_text(run, grounds, _grounds(move))
    client.log_text(run, move.line(), _record(move.sequence))
    client.set_registered_model_tag(move.model, HEAD, f"{move.sequence} {move.hash}")


def read(client: MlflowClient, model: str, tags: dict[str, str]) -> list[Move]:
    """All records, as MLflow has them.

    Raises:
        AuditFailed: there are fewer than the head says, or one is no record.
    """
    return [record(client, model, sequence) for sequence in range(1, head(tags)[0] + 1)]


def record(client: MlflowClient, model: str, sequence: int) -> Move:
    """One record, as MLflow has it.

    Raises:
        AuditFailed: it is not there, or is no record.
    """
    text = _load(client, model, _record(sequence))
    return moves.parse(text, f"Record {sequence} of {model} in MLflow")


def last(client: MlflowClient, model: str, tags: dict[str, str]) -> Move:
    """The record that the head names.

    Raises:
        AuditFailed: it is not there, or another.
    """
    sequence, known = head(tags)
    found = record(client, model, sequence)
    if found.hash != known:
        raise AuditFailed(f"Record {sequence} of {model} in MLflow is not the one that the registered model names.")
    return found


def grounds(client: MlflowClient, move: Move) -> str:
    """What the verdict of `move` follows from, as JSON.

    Raises:
        AuditFailed: it is not there.
    """
    return _load(client, move.model, _grounds(move))


def copy(client: MlflowClient, model: str, tags: dict[str, str]) -> list[Move]:
    """Bring this machine's copy of the log up to date, and hold both to each other; all records.

    Raises:
        AuditFailed: the copy and MLflow's do not fit together; nothing is written then.
    """
    path = layout.audit_log(model)
    own = moves.read(path)
    sequence, last = head(tags)
    whole = own + [record(client, model, number) for number in range(len(own) + 1, sequence + 1)]
    found = [*moves.faults(whole)]
    if len(whole) > sequence or (whole and whole[-1].hash != last):
        found.append(f"it ends with record {len(whole)}, MLflow's with {sequence} {last[:12]}")
    if found:
        raise AuditFailed(
            f"{path} and MLflow's audit log of {model} do not fit together: {'; '.join(found)}. One of them "
            "was changed: octavo audit says more; compare with the copies on other machines."
        )
    if len(whole) > len(own):
        moves.write(path, whole)
    return whole


def _load(client: MlflowClient, model: str, name: str) -> str:
    run = _run_id(client, model)
    known = {item.path for item in client.list_artifacts(run, name.partition("/")[0])} if run else set()
    if run is None or name not in known:
        raise AuditFailed(f"MLflow has no {name} of the audit log of {model}. Somebody removed it.")
    return str(load_text(f"runs:/{run}/{name}"))


def _run_id(client: MlflowClient, model: str) -> str | None:
    found = client.get_experiment_by_name(_experiment(model))
    if found is None:
        return None
    runs = client.search_runs(
        [found.experiment_id], f"tags.`{OF}` = '{model}'", ViewType.ACTIVE_ONLY, 1, ["attributes.start_time ASC"]
    )
    return str(runs[0].info.run_id) if runs else None


def _create_run(client: MlflowClient, model: str) -> str:
    experiment = tracking.experiment(client, _experiment(model))
    run = client.create_run(experiment, tags={OF: model}, run_name="audit log")
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _experiment(model: str) -> str:
    return f"{model}.audit"


def _record(sequence: int) -> str:
    return f"records/{sequence:06}.json"


def _grounds(move: Move) -> str:
    return f"grounds/{move.sequence:06}.json"
