"""Ask MLflow's server who the user is and how many approvals it requires. The user's own claims do not count.

Octavo's apps for MLflow's server have a route for this. Plain MLflow and a database on this machine have none, and
then no user is known by name.
"""

from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response
from pydantic import ValidationError

from octavo.project.errors import PromotionRefused
from octavo.project.params.params import PARAMS
from octavo.project.params.policy import Policy
from octavo.project.schema import Record
from octavo_mlflow.registry.mutex import lease
from octavo_mlflow.tracking import connection

ROUTE = "/octavo/gate"
"""Below `/api/2.0`."""
NO_SUCH_ROUTE = (403, 404, 405)
"""HTTP status codes of a server without the route; 403 from one that refuses all unknown routes."""


class Gate(Record, extra="ignore"):
    """The server's answer. A later release may add fields."""

    approvals: int = 0
    """How many people other than the requester have to approve a promotion."""
    user: str | None = None
    """The user as the server knows them; None if the server has no user accounts."""


def ask() -> Gate:
    """Ask the server of the tracking store. Without an answer of this kind, no approval is required.

    Raises:
        MlflowException: the server does not answer, or does not know this user.
    """
    store = connection.uri()
    if not store.startswith(("http:", "https:")):
        return Gate()
    answer = http_request(get_default_host_creds(store), f"/api/2.0{ROUTE}", "GET")
    if answer.status_code in NO_SUCH_ROUTE:
        return Gate()
    if answer.status_code == 200:
        try:
            return Gate.model_validate_json(answer.content)
        except ValidationError:  # a page, as from a server that shows one for every address
            return Gate()
    verify_rest_response(answer, ROUTE)
    return Gate()


def name() -> str:
    """The user's name for records: as the server knows it, otherwise account and machine. Raises as `ask`."""
    return ask().user or lease.owner()


def needed(gate: Gate, policy: Policy) -> int:
    """How many people have to approve a promotion: the larger number of server and project.

    Raises:
        PromotionRefused: approvals are required, and the server has no user accounts.
    """
    approvals = max(gate.approvals, policy.approvals)
    if approvals and gate.user is None:
        where = connection.public()
        whose = f"the policy of MLflow at {where}" if gate.approvals else f"policy.approvals in {PARAMS}"
        raise PromotionRefused(
            f"Nothing is promoted: {whose} asks for the approval of {people(approvals)}, and MLflow at {where} has "
            "no user accounts. It needs a server with user accounts: mlflow server --app-name octavo-basic-auth, see "
            "docs/team.md."
        )
    return approvals


def people(number: int) -> str:
    """The number of approvers in words."""
    return "another person" if number == 1 else f"{number} other people"
