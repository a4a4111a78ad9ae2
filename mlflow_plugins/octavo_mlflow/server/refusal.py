"""How the server refuses a write."""

from collections.abc import Iterable

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED


def refusal(sentence: str) -> MlflowException:
    """An error with HTTP status 403, which MLflow's clients show as this sentence."""
    return MlflowException(sentence, error_code=PERMISSION_DENIED)


def refuse(sentences: Iterable[str]) -> None:
    """Refuse the write with the first sentence, if there is one.

    Raises:
        MlflowException: there is one.
    """
    for sentence in sentences:
        raise refusal(sentence)
