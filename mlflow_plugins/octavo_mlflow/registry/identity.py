"""Who we are to MLflow's server, and how many approvals it asks for: what the server says, and not what we say of us.

Octavo's apps of MLflow's server have a route of their own for it. Where there is none, as on plain MLflow or in a
database of this machine, nobody is known by name.
"""

from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response
from pydantic import BaseModel, ValidationError

from octavo.project.errors import PromotionRefused
from octavo.project.params.params import PARAMS
from octavo.project.params.policy import Policy
from octavo_mlflow.mutex import lease
from octavo_mlflow.tracking import connection

ROUTE = "/octavo/gate"
"""Below `/api/2.0`."""
NO_SUCH_ROUTE = (403, 404, 405)
"""HTTP: what a server without it answers; 403 where all that it does not know is refused."""


class Gate(BaseModel):
    """What the server says of itself; a later release may say more."""

    approvals: int = 0
    """How many people other than who asks have to approve a promotion."""
    user: str | None = None
    """Who asks, as the server knows them; None where it asks nobody who they are."""


def ask() -> Gate:
    """What the server of the tracking store says; that nothing is asked for where it says nothing.

    Raises:
        MlflowException: it does not answer, or does not know this user.
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
    """Who we are, as records name us: the user whom the server knows, else account and machine. Raises as `ask`."""
    return ask().user or lease.owner()


def needed(gate: Gate, policy: Policy) -> int:
    """How many people have to approve a promotion: the more of what the server and the project ask for.

    Raises:
        PromotionRefused: somebody has to, and the server knows nobody by name.
    """
    approvals = max(gate.approvals, policy.approvals)
    if approvals and gate.user is None:
        where = connection.public()
        whose = f"the policy of MLflow at {where}" if gate.approvals else f"policy.approvals in {PARAMS}"
        raise PromotionRefused(
            f"Nothing is promoted: {whose} asks for the approval of {people(approvals)}, and MLflow at {where} knows "
            "nobody by name. It needs a server that asks people who they are: mlflow server --app-name "
            "octavo-basic-auth, see docs/team.md."
        )
    return approvals


def people(number: int) -> str:
    """That many others, in words."""
    return "another person" if number == 1 else f"{number} other people"
