"""Where a registered model stands at one moment: its aliases, its tags, and which model it is, whatever its name."""

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
"""In which they are set: whoever looks up the champion sees the old one or the new one."""
HEAD = "audit.head"
"""Tag of the registered model: number and hash of the last record of its audit log."""
DONE = "audit.done"
"""Tag of the registered model: the number of the last record whose move was made."""
LOG = "audit.log"
"""Tag of the registered model: the run that holds its audit log."""
REQUEST = "audit.request"
"""Tag of the registered model: number and hash of the move that somebody asked for, and that others have to approve."""
APPROVED = "audit.approved"
"""Tag of the registered model: which request was approved, and by whom."""

NUMBER = re.compile(r"\d{1,9}", re.ASCII)
"""Of a record, in a tag."""


@dataclass(frozen=True)
class State:
    """A registered model's aliases and tags at one moment."""

    model: str
    made: int
    """When it was registered, in milliseconds: the same under another name, another where it was registered anew."""
    aliases: Aliases
    """Those that Octavo moves."""
    tags: dict[str, str]

    @property
    def champion(self) -> str | None:
        return self.aliases.get(CHAMPION)

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the last record; 0 where nothing ever moved.

        Raises:
            AuditFailed: the tag says something else.
        """
        text = self.tags.get(HEAD, f"0 {ORIGIN}")
        number, _, found = text.partition(" ")
        if not (NUMBER.fullmatch(number) and len(found) == len(ORIGIN)):
            raise AuditFailed(self._edited(HEAD, text))
        return int(number), found

    @property
    def done(self) -> int:
        """The number of the last record whose move was made; 0 where nothing ever moved.

        Raises:
            AuditFailed: the tag is no number.
        """
        done = self.tags.get(DONE, "0")
        if not NUMBER.fullmatch(done):
            raise AuditFailed(self._edited(DONE, done))
        return int(done)

    @property
    def unfinished(self) -> bool:
        """Whether the last move was written down but perhaps not made. Raises as `head` and `done`."""
        return self.head[0] > self.done

    def _edited(self, name: str, text: str) -> str:
        return (
            f"The tag {name} of {self.model} is {text[:80]!a}, which Octavo did not write. octavo audit --repair "
            "proposes a way out."
        )


def state(client: MlflowClient, model: str) -> State:
    """Where the model stands now.

    Raises:
        MlflowException: there is no such model, or MLflow does not answer.
    """
    return of(client.get_registered_model(model))


def of(found: RegisteredModel) -> State:
    """Where a model stands, as MLflow has it."""
    ours = {alias: str(version) for alias, version in found.aliases.items() if alias in ORDER}
    tags = {name: value or "" for name, value in found.tags.items()}  # None where the database was edited
    return State(found.name, int(found.creation_timestamp or 0), ours, tags)


def known(client: MlflowClient, model: str) -> State:
    """As `state`, for commands that read.

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
