"""The state of a registered model at one moment: its aliases, its tags, and which model it is even after a rename."""

import re
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from octavo.project.errors import AuditFailed, ModelError
from octavo.promotion.audit_record import ORIGIN, Aliases
from octavo_mlflow.tracking import connection

CHAMPION, PREVIOUS, ANCHOR = "champion", "previous", "anchor"
ORDER = (PREVIOUS, ANCHOR, CHAMPION)
"""The order in which the aliases are set. `champion` is last, so a reader sees either the old one or the new one."""
HEAD = "audit.head"
"""Tag of the registered model: number and hash of the last record of its audit log."""
DONE = "audit.done"
"""Tag of the registered model: number of the last record whose move was applied."""
LOG = "audit.log"
"""Tag of the registered model: the run that holds its audit log."""
REQUEST = "audit.request"
"""Tag of the registered model: number and hash of the requested move that awaits approval."""
APPROVED = "audit.approved"
"""Tag of the registered model: the approved request and the names of its approvers."""

NUMBER = re.compile(r"\d{1,9}", re.ASCII)
"""A record's number in a tag."""


@dataclass(frozen=True)
class State:
    """A registered model's aliases and tags at one moment."""

    model: str
    made: int
    """When it was registered, in milliseconds since 1970. A rename keeps it; a new registration changes it."""
    aliases: Aliases
    """Those that Octavo moves."""
    tags: dict[str, str]

    @property
    def champion(self) -> str | None:
        return self.aliases.get(CHAMPION)

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the last record; number 0 if nothing ever moved.

        Raises:
            AuditFailed: the tag has another form.
        """
        text = self.tags.get(HEAD, f"0 {ORIGIN}")
        number, _, found = text.partition(" ")
        if not (NUMBER.fullmatch(number) and len(found) == len(ORIGIN)):
            raise AuditFailed(self._edited(HEAD, text))
        return int(number), found

    @property
    def done(self) -> int:
        """The number of the last record whose move was applied; 0 if nothing ever moved.

        Raises:
            AuditFailed: the tag is not a number.
        """
        done = self.tags.get(DONE, "0")
        if not NUMBER.fullmatch(done):
            raise AuditFailed(self._edited(DONE, done))
        return int(done)

    @property
    def unfinished(self) -> bool:
        """Whether the last move is recorded but perhaps not applied. Raises as `head` and `done`."""
        return self.head[0] > self.done

    def _edited(self, name: str, text: str) -> str:
        return (
            f"The tag {name} of {self.model} is {text[:80]!a}, which Octavo did not write. octavo audit --repair "
            "proposes a way out."
        )


def state(client: MlflowClient, model: str) -> State:
    """The model's present state.

    Raises:
        MlflowException: there is no such model, or MLflow does not answer.
    """
    return of(client.get_registered_model(model))


def of(found: RegisteredModel) -> State:
    """The state that MLflow's record of a model describes."""
    ours = {alias: str(version) for alias, version in found.aliases.items() if alias in ORDER}
    tags = {name: value or "" for name, value in found.tags.items()}  # None where the database was edited
    return State(found.name, int(found.creation_timestamp or 0), ours, tags)


def known(client: MlflowClient, model: str) -> State:
    """As `state`, with a clear error for a model that does not exist. For commands that read.

    Raises:
        ModelError: there is no such model.
        MlflowException: MLflow does not answer.
    """
    try:
        return state(client, model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise ModelError(
            f"MLflow at {connection.public()} has no registered model {model} yet. Run dvc repro; or is it another "
            "MLflow? Set MLFLOW_TRACKING_URI."
        ) from None
